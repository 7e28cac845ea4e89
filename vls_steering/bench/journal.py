"""Finished episodes on disk, one JSON line each, so that an interrupted run can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vls_steering.core.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    KeyT = TypeVar("KeyT", bound=DataclassInstance)
else:
    KeyT = TypeVar("KeyT")


class Journal(Generic[KeyT]):
    """The journal of one run at `path`.

    `identity` says of an episode what must not differ from when it was run; `key` is the dataclass that names one.
    """

    def __init__(self, path: Path, identity: Callable[[KeyT], dict[str, Any]], key: Callable[..., KeyT]) -> None:
        self._path, self._identity, self._key = path, identity, key

    def clear(self) -> None:
        """Forget every episode."""
        self._path.unlink(missing_ok=True)

    def read(self) -> dict[KeyT, dict[str, Any]]:
        """What is done; a torn last line is dropped.  Raises ConfigurationError for another run's journal."""
        done: dict[KeyT, dict[str, Any]] = {}
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            key = self._key(**entry["key"])
            self._check(entry["run"], self._identity(key))
            done[key] = entry["result"]
        return done

    def append(self, key: KeyT, result: dict[str, Any]) -> None:
        """Write one episode through to the disk."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": asdict(key), "run": self._identity(key), "result": result}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _check(self, then: dict[str, Any], now: dict[str, Any]) -> None:
        differing = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
        if differing:
            problem = f"{self._path} belongs to another run: {' and '.join(differing)} differs"
            raise ConfigurationError(problem, "Choose another --out or drop --resume")
