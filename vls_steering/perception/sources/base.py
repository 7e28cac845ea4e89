"""The seam that every device or recording implements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vls_steering.core.types import CameraFrame

Now = Callable[[], float]  # s, on the clock of the stamps


class FrameSource(Protocol):
    """One camera; used by one thread."""

    def read(self) -> CameraFrame | None:
        """Wait for the next frame, stamped with its acquisition; None when a recording is over.

        Raises StreamFault when the device does not deliver.
        """
        ...

    def close(self) -> None:
        """Release the device."""
        ...
