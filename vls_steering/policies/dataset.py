"""Demonstrations in memory: every step of every episode as tensors, training windows gathered by index."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.policies.base import ActionSpace
from vls_steering.policies.features import HISTORY, FeatureNormaliser, SensorNoise, fit_normaliser, step_features

# Steps before the end of an episode that start no window, unless the episode ends at rest.
PAST_END_STEPS = 12

_SHAPES: dict[str, tuple[int, ...]] = {
    "tcp": (3,),
    "gripper_width": (),
    "objects": (5, 3),
    "present": (5,),
    "action_tcp": (3,),
    "action_open": (),
    "episode": (),
}


@dataclass(frozen=True)
class Demonstrations:
    """N steps of all episodes, concatenated; positions in metres in the base frame."""

    tcp: Tensor  # (N, 3) measured
    gripper_width: Tensor  # (N,) m measured
    objects: Tensor  # (N, 5, 3), zeros where absent
    present: Tensor  # (N, 5) bool
    action_tcp: Tensor  # (N, 3) commanded for the next step
    action_width: Tensor  # (N,) m commanded: closed or open
    first: Tensor  # (N,) index of the first step of the step's episode
    last: Tensor  # (N,) index of its last step
    episode: Tensor  # (N,)
    starts_window: Tensor  # (N,) bool: a chunk from here is one to learn
    sha256: str

    def history(self, steps: Tensor) -> Tensor:
        """(B,) step indices -> (B, 2) indices of the observation window, older first, clamped to the episode."""
        offsets = torch.arange(1 - HISTORY, 1, device=steps.device)
        return torch.maximum(steps[:, None] + offsets, self.first[steps][:, None])

    def future(self, steps: Tensor, horizon: int) -> Tensor:
        """(B,) step indices -> (B, H) indices of the action chunk; past the end the last action repeats."""
        ahead = torch.arange(horizon, device=steps.device)
        return torch.minimum(steps[:, None] + ahead, self.last[steps][:, None])

    def split(self, validation_share: float, seed: int) -> tuple[Tensor, Tensor]:
        """Training and validation step indices; whole episodes are held out, at least one when there are two."""
        episodes = torch.unique(self.episode)
        held = min(max(1, round(validation_share * len(episodes))), len(episodes) - 1)
        order = torch.randperm(len(episodes), generator=torch.Generator().manual_seed(seed))
        is_held = torch.isin(self.episode, episodes[order[:held]])
        training, validation = self.starts_window & ~is_held, self.starts_window & is_held
        return torch.nonzero(training).flatten(), torch.nonzero(validation).flatten()

    def to(self, device: torch.device) -> Demonstrations:
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return Demonstrations(**moved, sha256=self.sha256)


def load_demonstrations(path: Path) -> Demonstrations:
    """Read a dataset `.npz`; raises ConfigurationError that names the array which is missing or malformed."""
    try:
        content = path.read_bytes()
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in (*_SHAPES, "ends_at_rest")}
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(f"cannot read the dataset {path}: {error}") from error
    count = len(arrays["tcp"])
    for name, shape in _SHAPES.items():
        if arrays[name].shape != (count, *shape):
            raise ConfigurationError(f"{path}: {name} has shape {arrays[name].shape}, expected {(count, *shape)}")
    episode = arrays["episode"].astype(np.int64)
    starts = np.flatnonzero(np.r_[True, episode[1:] != episode[:-1]])
    if count == 0 or len(np.unique(episode)) != len(starts):
        raise ConfigurationError(f"{path}: the steps of an episode must be contiguous, and there must be some")
    lengths = np.diff(np.r_[starts, count])
    ends_at_rest = arrays["ends_at_rest"].astype(np.bool_)
    if ends_at_rest.shape != lengths.shape:
        raise ConfigurationError(f"{path}: ends_at_rest has shape {ends_at_rest.shape}, expected {lengths.shape}")
    present = arrays["present"].astype(np.bool_)
    arrays["objects"] = np.where(present[:, :, None], arrays["objects"], 0.0)
    for name in ("tcp", "gripper_width", "objects", "action_tcp"):
        if not np.isfinite(arrays[name]).all():
            raise ConfigurationError(f"{path}: {name} holds a value that is not finite")
    return Demonstrations(
        tcp=_floats(arrays["tcp"]),
        gripper_width=_floats(arrays["gripper_width"]),
        objects=_floats(arrays["objects"]),
        present=torch.from_numpy(present),
        action_tcp=_floats(arrays["action_tcp"]),
        action_width=_floats(arrays["action_open"].astype(np.bool_) * GRIPPER_OPEN_M),
        first=torch.from_numpy(np.repeat(starts, lengths)),
        last=torch.from_numpy(np.repeat(starts + lengths - 1, lengths)),
        episode=torch.from_numpy(episode),
        starts_window=torch.from_numpy(_starts_window(lengths, ends_at_rest)),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _starts_window(lengths: np.ndarray, ends_at_rest: np.ndarray) -> np.ndarray:
    """Windows that would run past an end that is no resting place would teach the hand to stop there."""
    to_go = np.concatenate([np.arange(length, 0, -1) for length in lengths])
    starts: np.ndarray = (to_go > PAST_END_STEPS) | np.repeat(ends_at_rest, lengths)
    return starts


def _floats(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def fit_action_space(data: Demonstrations, steps: Tensor, horizon: int, step_s: float) -> ActionSpace:
    """Scale of each chunk step: root mean square distance per axis from the anchor, at least 5 mm."""
    scales = []
    for ahead in range(horizon):
        offset = data.action_tcp[torch.minimum(steps + ahead, data.last[steps])] - data.tcp[steps]
        scales.append(max(float(offset.square().mean().sqrt()), 0.005))
    return ActionSpace(tuple(scales), step_s)


def fit_features(data: Demonstrations, steps: Tensor) -> FeatureNormaliser:
    values = step_features(data.tcp[steps], data.gripper_width[steps], data.objects[steps], data.present[steps])
    return fit_normaliser(values, data.present[steps])


@dataclass(frozen=True)
class WindowGatherer:
    """Step indices -> normalised network inputs and targets."""

    data: Demonstrations
    action_space: ActionSpace
    normaliser: FeatureNormaliser

    def gather(self, steps: Tensor, noise: SensorNoise, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B,) -> features (B, 48), clean chunks (B, H, 4).

        The chunk is relative to the *noisy* TCP: on the robot the anchor is measured too.
        """
        data, window = self.data, self.data.history(steps)
        tcp, objects = noise.apply(data.tcp[window], data.objects[window], generator)
        features = step_features(tcp, data.gripper_width[window], objects, data.present[window]).flatten(1)
        future = data.future(steps, self.action_space.horizon)
        chunk = self.action_space.encode(data.action_tcp[future], data.action_width[future], tcp[:, -1])
        return self.normaliser.apply(features), chunk
