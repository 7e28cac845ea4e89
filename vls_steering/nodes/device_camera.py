"""A device or a recording as a camera source: read on a thread of its own, delivered as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vls_steering.core.errors import StreamFault
from vls_steering.core.transforms import Transform
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.camera_source import Deliver
from vls_steering.perception.sources import FrameSource

TRIES = 3  # pictures that may fail in a row before the node does
JOIN_WITHIN_S = 5.0


class DeviceCamera:
    """CameraSource around a FrameSource, which is opened by `start` and closed by `stop`."""

    def __init__(self, node: RoomNode, open_source: Callable[[], FrameSource], mount: Transform) -> None:
        self._node, self._open, self.mounts = node, open_source, (mount,)

    def start(self, deliver: Deliver) -> None:
        self._source, self._deliver = self._open(), deliver
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(JOIN_WITHIN_S)
        self._source.close()

    def close(self) -> None:
        """`stop` has released the device."""

    def _run(self) -> None:
        try:
            self._read_all()
        except Exception as error:  # noqa: BLE001 - the border of the thread: the node must learn of it
            self._node.fail(error)

    def _read_all(self) -> None:
        failures = 0
        while not self._ending.is_set():
            try:
                frame = self._source.read()
            except StreamFault as fault:
                failures += 1
                self._node.complaints["camera"] = str(fault)
                if failures == TRIES:
                    raise
                continue
            failures = 0
            if frame is None:
                self._node.complaints["camera"] = "the recording is over"
                return
            self._node.complaints["camera"] = ""
            self._deliver(frame)
