"""What an arm says about itself, and what this computer is, beside what we take them for."""

from __future__ import annotations

import ipaddress
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.frames import pose_matrix

FR3_FCI, OLDEST_SERVER = 10, 10  # FCI and robot server of an FR3 with robot system 5.9
HAND_LENGTH_M = 0.1034  # flange to TCP of the Franka Hand
HAND_MASS_KG = 0.73
MISS_M, MASS_MISS_KG = 0.005, 0.1
RTPRIO = 50  # of 99, enough to go before everything that is not the kernel's own


@dataclass(frozen=True)
class ArmReport:
    """As the arm tells it over the protocol."""

    server_version: int
    fci_version: int
    mode: str
    errors: tuple[str, ...]
    flange: FloatArray  # (4, 4) pose in the base frame
    tool: FloatArray  # (4, 4) pose of the end effector at the flange, as Desk has it
    tool_mass_kg: float

    def flange_miss_m(self, tcp_position: FloatArray, tcp_quat_xyzw: FloatArray) -> float:
        """Distance of the arm's own flange from the one that our kinematics puts behind the TCP."""
        tcp = pose_matrix(tcp_position, tcp_quat_xyzw)
        return float(np.linalg.norm(self.flange[:3, 3] - (tcp[:3, 3] - HAND_LENGTH_M * tcp[:3, 2])))

    @property
    def has_hand(self) -> bool:
        """Whether Desk knows of the Franka Hand: gravity and the arm's own limits count with it."""
        length_m = float(self.tool[2, 3])
        return abs(length_m - HAND_LENGTH_M) < MISS_M and abs(self.tool_mass_kg - HAND_MASS_KG) < MASS_MISS_KG


@dataclass(frozen=True)
class HostReport:
    """What decides on this computer's side whether 1 kHz is kept."""

    kernel: str
    realtime_kernel: bool
    rtprio: int

    @property
    def fit(self) -> bool:
        return self.realtime_kernel and self.rtprio >= RTPRIO


def host_report() -> HostReport:
    flag = Path("/sys/kernel/realtime")
    realtime = flag.is_file() and flag.read_text(encoding="ascii").strip() == "1"
    rtprio = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    unlimited = rtprio == resource.RLIM_INFINITY
    return HostReport(platform.release(), realtime or "PREEMPT_RT" in platform.version(), 99 if unlimited else rtprio)


def is_loopback(host: str) -> bool:
    """Whether `host` is this computer, so that what moves there is simulated."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
