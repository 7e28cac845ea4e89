"""The health of the cameras as a message: what the executor's patience and the simulator's pace go by.

It is level-triggered: every message tells the whole present state, so that a lost one is made up for by the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray

from vls_steering.nodes.conversions import diagnostic_status, stamp_seconds, time_message
from vls_steering.nodes.streams import Level, StreamReport

if TYPE_CHECKING:  # the executor listens, too, and its process loads no image library
    from vls_steering.perception import StreamHealth


@dataclass(frozen=True)
class CamerasHeard:
    """What the message says to who depends on the pictures."""

    healthy_s: float  # every camera had a usable picture of this stamp or a newer one; 0 before that
    complaint: str = ""  # what is wrong since, for a person; empty when nothing is


def camera_report(health: StreamHealth) -> StreamReport:
    """One camera's line for /diagnostics and for `perception/cameras`."""
    level = Level.ERROR if health.fault is not None else Level.WARN if health.warning else Level.OK
    values = {
        "fault": health.fault.value if health.fault is not None else "none",
        "received": str(health.received),
        "faulty": str(health.faulty),
        "dropped": str(health.dropped),
    }
    return StreamReport(f"{health.camera} camera", level, health.reason or health.warning or "healthy", values)


def cameras_message(node_name: str, cameras: Sequence[StreamHealth]) -> DiagnosticArray:
    oldest_s = min(camera.healthy_s for camera in cameras)
    message = DiagnosticArray(status=[diagnostic_status(node_name, camera_report(camera)) for camera in cameras])
    message.header.stamp = time_message(max(oldest_s, 0.0) if math.isfinite(oldest_s) else 0.0)
    return message


def cameras_heard(message: DiagnosticArray) -> CamerasHeard:
    faults = [status.message for status in message.status if Level(ord(status.level)) >= Level.ERROR]
    return CamerasHeard(stamp_seconds(message.header.stamp), "; ".join(faults))
