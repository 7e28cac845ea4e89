"""Where pictures come from: the seam between the camera node and a device, a simulator or a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vls_steering.core.transforms import Transform
from vls_steering.core.types import CameraFrame

Deliver = Callable[[CameraFrame], None]


class CameraSource(Protocol):
    """Delivers frames, stamped with their acquisition on the ROS clock, on the node's thread."""

    @property
    def mounts(self) -> tuple[Transform, ...]:
        """Where the cameras' optical frames are fixed, for tf."""
        ...

    def start(self, deliver: Deliver) -> None:
        """Open the streams; raises VlsError when a device is missing."""
        ...

    def stop(self) -> None:
        """Close the streams; no frame is delivered afterwards."""
        ...

    def close(self) -> None:
        """Release what the constructor took."""
        ...
