"""Where a tick's time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up time per section; time in an inner section is not charged to the outer one.

    Example: `with watch.section("guide"): ...` and, inside it, `with watch.section("denoise"): ...`.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._spent: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            inner = self._inner.pop()
            if self._inner:
                self._inner[-1] += spent
            self._spent[name] = self._spent.get(name, 0.0) + spent - inner

    def durations_ms(self, *sections: str) -> dict[str, float]:
        """Milliseconds of each named section (0 when it never ran) and of `total` since the watch was made."""
        durations = {name: 1e3 * self._spent.get(name, 0.0) for name in sections}
        durations["total"] = 1e3 * (time.perf_counter() - self._began)
        return durations
