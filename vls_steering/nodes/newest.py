"""Work on a thread of its own that takes the newest thing there is: nothing queues up behind slow work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.scheduling import Urgency, go_first, thread_gives_way

ItemT = TypeVar("ItemT")
JOIN_WITHIN_S = 10.0


class NewestOnly(Generic[ItemT]):
    """Calls `work(item)` for the newest item offered; what is overtaken while it works is skipped and counted.

    An exception in `work` ends the thread and fails the node.  `niceness` is how far the thread gives way to the others
    of its process and of the host; with an `urgency` it goes before them instead.
    """

    def __init__(
        self,
        node: RoomNode,
        name: str,
        work: Callable[[ItemT], None],
        niceness: int = 0,
        urgency: Urgency | None = None,
    ) -> None:
        self._node, self._work, self._niceness, self._urgency = node, work, niceness, urgency
        self._offered = threading.Condition()
        self._item: ItemT | None = None
        self._ending = False
        self.skipped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: ItemT) -> None:
        with self._offered:
            self.skipped += self._item is not None
            self._item = item
            self._offered.notify()

    def end(self) -> None:
        """Return when the work in progress is done; what waits is dropped."""
        with self._offered:
            self._ending = True
            self._offered.notify()
        self._thread.join(JOIN_WITHIN_S)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._thread.name} took longer than {JOIN_WITHIN_S:g} s")

    def _run(self) -> None:
        try:
            thread_gives_way(self._niceness)
            if self._urgency is not None:
                go_first(self._urgency)
            while (item := self._next()) is not None:
                self._work(item)
        except Exception as error:  # noqa: BLE001 - the border of the thread: the node must learn of it
            self._node.fail(error)

    def _next(self) -> ItemT | None:
        """None at the end."""
        with self._offered:
            self._offered.wait_for(lambda: self._ending or self._item is not None)
            item, self._item = self._item, None
            return None if self._ending else item
