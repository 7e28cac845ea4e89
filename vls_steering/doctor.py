"""`vls doctor`: one line for everything that must be right before the arm can move."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, and the cure when it failed."""

    what: str
    ok: bool
    detail: str
    cure: str = ""

    def line(self) -> str:
        """For the terminal."""
        mark = "ok     " if self.ok else "MISSING"
        cure = f"\n          {self.cure}" if not self.ok and self.cure else ""
        return f"{mark} {self.what}: {self.detail}{cure}"


def examine() -> tuple[Finding, ...]:
    """Run every check; none of them raises."""
    checks: tuple[tuple[str, Callable[[], str], str], ...] = (
        ("Python", _python, "Use CPython 3.10 to 3.12"),
        ("torch", _torch, "Run: make setup"),
        ("ROS 2", _ros, "Source a ROS 2 installation, or install the wheels: make setup"),
        ("messages", _messages, "Build them: make setup, or colcon build"),
        ("robot model", _model, "Run: pip install --no-deps franky-sim==1.0.4"),
        ("rendering", _rendering, "Install EGL (Debian: apt-get install libegl1 libgl1-mesa-dri), or set MUJOCO_GL"),
        ("policy", _policy, "Restore the file from git, or train one: vls collect, then vls train"),
        ("real time", _real_time, ""),
    )
    return tuple(_examine(*check) for check in checks)


def _examine(what: str, check: Callable[[], str], cure: str) -> Finding:
    try:
        return Finding(what, True, check())
    except Exception as error:  # noqa: BLE001 - a doctor reports every kind of failure
        return Finding(what, False, f"{type(error).__name__}: {error}", cure)


def _python() -> str:
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise RuntimeError(f"{sys.version.split()[0]} is not supported")
    return sys.version.split()[0]


def _torch() -> str:
    torch = importlib.import_module("torch")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    return f"{torch.__version__}, {device}"


def _ros() -> str:
    importlib.import_module("rclpy")
    return f"rclpy, ROS_DOMAIN_ID={os.environ.get('ROS_DOMAIN_ID', '0')}"


def _messages() -> str:
    importlib.import_module("vls_steering.msg")
    importlib.import_module("vls_steering.action")
    return "vls_steering.msg and vls_steering.action are built"


def _model() -> str:
    from vls_steering.robots.assets import asset_directory

    return "FR3 with hand" if (asset_directory() / "fr3.xml").exists() else "incomplete"


def _rendering() -> str:
    from vls_steering.sim.cameras import CameraRig
    from vls_steering.sim.scenes import draw_layout
    from vls_steering.sim.world import World

    world = World(draw_layout("play", 0))
    rig = CameraRig(world, 0)
    color = rig.render(world.full_state(), "front").color
    rig.close()
    if color.std() < 5:
        raise RuntimeError("the rendered picture is empty")
    return f"MUJOCO_GL={os.environ.get('MUJOCO_GL', 'default')}"


def _policy() -> str:
    from vls_steering.policies import load_policy
    from vls_steering.policies.shipped import SHIPPED_POLICY

    policy = load_policy(SHIPPED_POLICY)
    return f"{SHIPPED_POLICY.name}, sha256 {policy.sha256[:12]}"


def _real_time() -> str:
    kernel = "/sys/kernel/realtime"
    preempt = os.path.exists(kernel)  # noqa: PTH110 - a kernel flag, not a project path
    return "PREEMPT_RT kernel" if preempt else "no PREEMPT_RT kernel: fine for the simulation"
