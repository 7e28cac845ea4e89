"""Shared by the tests of the policies room: a tiny dataset of straight reaches and a tiny recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vls_steering.policies.train import TrainRecipe
from vls_steering.policies.unet import UNetSettings

EPISODES, LENGTH = 12, 30


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def reaches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each episode goes straight to one of the objects and closes the gripper at the end."""
    rng = np.random.default_rng(0)
    columns: dict[str, list[np.ndarray]] = {}
    progress = np.linspace(0.0, 1.0, LENGTH)[:, None]
    for episode in range(EPISODES):
        objects = rng.uniform([0.35, -0.25, 0.02], [0.6, 0.25, 0.03], (5, 3))
        start = np.array([0.4, 0.0, 0.3]) + rng.normal(0.0, 0.03, 3)
        tcp = start + (objects[episode % 5] - start) * progress
        step = {
            "tcp": tcp,
            "gripper_width": np.where(progress[:, 0] > 0.8, 0.038, 0.08),
            "objects": np.repeat(objects[None], LENGTH, axis=0),
            "present": np.repeat(rng.random(5)[None] < 0.8, LENGTH, axis=0),
            "action_tcp": np.r_[tcp[1:], tcp[-1:]],
            "action_open": progress[:, 0] < 0.8,
            "episode": np.full(LENGTH, episode),
        }
        for name, values in step.items():
            columns.setdefault(name, []).append(values)
    path = tmp_path_factory.mktemp("data") / "reaches.npz"
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    np.savez(path, **arrays, ends_at_rest=np.ones(EPISODES, bool))
    return path


@pytest.fixture(scope="session")
def recipe() -> TrainRecipe:
    network = UNetSettings(channels=(16, 16, 16), condition_size=32)
    return TrainRecipe(network=network, steps=100, batch=32, warm_up_steps=10, learning_rate=3e-3, precision="float32")
