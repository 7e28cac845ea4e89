"""Weights as safetensors beside a JSON that says everything else, and perhaps the network as an ONNX graph; a changed
file is refused on load."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import load, save

from vls_steering.core.config import Settings, parse_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.base import ActionSpace
from vls_steering.policies.exported import ExportedNetwork, export_graph, graph_path
from vls_steering.policies.features import OBJECT_SLOTS, FeatureNormaliser
from vls_steering.policies.network_policy import NetworkPolicy
from vls_steering.policies.process import Process, ProcessName, make_process
from vls_steering.policies.unet import ConditionalUNet, UNetSettings, parameter_count

FORMAT = "vls_steering.policy/2"


class PolicyCard(Settings):
    """The JSON beside the weights."""

    format: str = Field(FORMAT, description="format and version of this file")
    name: str = Field(description="name of the policy in reports")
    sha256: str = Field(description="SHA-256 of the weights file")
    graph_sha256: str = Field("", description="SHA-256 of the ONNX graph that `vls export` wrote; empty = none")
    parameters: int = Field(ge=1, description="number of weights")
    network: UNetSettings = Field(description="architecture")
    objects: tuple[str, ...] = Field(OBJECT_SLOTS, description="object slots of the feature vector, in order")
    feature_mean: tuple[float, ...] = Field(description="feature normaliser")
    feature_scale: tuple[float, ...] = Field(description="feature normaliser")
    position_scale_m: tuple[float, ...] = Field(description="action normaliser, one per chunk step")
    step_s: float = Field(gt=0.0, description="time between chunk steps")
    process: ProcessName = Field("diffusion", description="what the network was trained to predict, and its schedule")
    alpha_floor: float = Field(gt=0.0, lt=1.0, description="alpha at level 1")
    training: dict[str, Any] = Field(default_factory=dict, description="recipe, dataset hash, seeds, progress")
    versions: dict[str, str] = Field(default_factory=dict, description="libraries that wrote the file")


def save_policy(
    path: Path,
    network: ConditionalUNet,
    normaliser: FeatureNormaliser,
    action_space: ActionSpace,
    process: Process,
    training: dict[str, Any],
) -> PolicyCard:
    """Write `path` (.safetensors) and its card (.json), each atomically."""
    weights = save({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()})
    card = PolicyCard(
        name=path.stem,
        sha256=hashlib.sha256(weights).hexdigest(),
        parameters=parameter_count(network),
        network=network.settings,
        feature_mean=normaliser.mean,
        feature_scale=normaliser.scale,
        position_scale_m=action_space.position_scale_m,
        step_s=action_space.step_s,
        process=process.name,
        alpha_floor=process.schedule.alpha_floor,
        training=training,
        versions={"torch": torch.__version__, "numpy": np.__version__},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, weights)
    _write_card(path, card)
    return card


def load_policy(path: Path) -> NetworkPolicy:
    """Read a policy; raises ConfigurationError when a file is missing, malformed or not what the card says."""
    card = load_card(path)
    weights = _read(path, card.sha256)
    graph = _read(graph_path(path), card.graph_sha256) if card.graph_sha256 else None
    network = ConditionalUNet(card.network)
    try:
        network.load_state_dict(load(weights))
    except RuntimeError as error:
        raise ConfigurationError(f"{path} does not fit the architecture of its card: {error}") from error
    return NetworkPolicy(
        network,
        FeatureNormaliser(card.feature_mean, card.feature_scale),
        ActionSpace(card.position_scale_m, card.step_s),
        make_process(card.process, card.alpha_floor),
        card.name,
        card.sha256,
        ExportedNetwork(graph, str(graph_path(path))) if graph is not None else None,
    )


def export_policy(path: Path) -> Path:
    """Write the ONNX graph of the policy at `path` beside it, enter it in the card and return where it lies."""
    policy, card = load_policy(path), load_card(path)
    graph = export_graph(policy.network)
    write_atomically(graph_path(path), graph)
    _write_card(path, card.model_copy(update={"graph_sha256": hashlib.sha256(graph).hexdigest()}))
    return graph_path(path)


def load_card(path: Path) -> PolicyCard:
    """The card of the weights at `path`."""
    source = card_path(path)
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {source}: {error}", "A policy is a .safetensors and a .json") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ConfigurationError(f"{source} is not a {FORMAT} card")
    card = parse_settings(PolicyCard, document, str(source))
    if card.objects != OBJECT_SLOTS:
        raise ConfigurationError(f"{source} was trained on the objects {card.objects}, this version has {OBJECT_SLOTS}")
    return card


def _read(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the policy {path}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ConfigurationError(
            f"{path} is damaged or not the file its card describes: SHA-256 {found[:12]}, expected {sha256[:12]}",
            "Fetch the checkpoint again (with Git LFS, `git lfs pull`) or train it anew",
        )
    return content


def _write_card(path: Path, card: PolicyCard) -> None:
    write_atomically(card_path(path), (card.model_dump_json(indent=1) + "\n").encode())


def card_path(path: Path) -> Path:
    return path.with_suffix(".json")


def write_atomically(path: Path, content: bytes) -> None:
    """A cut leaves the old file or the new one, never half of it."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
