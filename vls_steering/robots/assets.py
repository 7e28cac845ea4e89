"""The FR3 with its hand as an editable MuJoCo model, from the `franky-sim` asset wheel.

Only the wheel's model files are used: it is located without being imported, because importing it needs pinocchio.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mujoco

from vls_steering.core.errors import VlsError

ARM_JOINT_NAMES = tuple(f"fr3_joint{i}" for i in range(1, 8))
FINGER_JOINT_NAMES = ("finger_joint1", "finger_joint2")
TCP_SITE = "tcp"
HAND_BODY = "hand"
# Distance from the hand's origin to the point between the fingertips: Franka Hand manual, default end-effector frame.
TCP_OFFSET_M = 0.1034


def asset_directory() -> Path:
    """Folder that holds `fr3.xml` and `meshes/`; raises VlsError with the install command when it is absent."""
    spec = importlib.util.find_spec("franky_sim")
    if spec is None or not spec.submodule_search_locations:
        raise VlsError(
            "the FR3 model files are not installed", "Run: pip install --no-deps franky-sim==1.0.4 (or `make setup`)"
        )
    return Path(spec.submodule_search_locations[0]) / "assets"


def fr3_spec() -> mujoco.MjSpec:
    """The arm with hand and a `tcp` site; joints, masses and collision shapes as in the asset file."""
    assets = asset_directory()
    spec = mujoco.MjSpec.from_file(str(assets / "fr3.xml"))
    spec.meshdir = str(assets / "meshes")
    spec.body(HAND_BODY).add_site(name=TCP_SITE, pos=[0.0, 0.0, TCP_OFFSET_M])
    return spec
