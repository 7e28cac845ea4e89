"""What happened in a log, a line for each change: instruction, program, stage, steering, executor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vls_steering.nodes import topics
from vls_steering.nodes.mcap_log import Logged
from vls_steering.nodes.topics import Topic


def timeline(log: Iterable[Logged]) -> Iterator[str]:
    """Seconds since the first message, who, what."""
    began_ns: int | None = None
    said: dict[tuple[str, str], str] = {}
    for logged in log:
        began_ns = logged.received_ns if began_ns is None else began_ns
        for topic, who, words in _TELLERS:
            if not logged.is_of(topic):
                continue
            text = words(logged.message(topic))
            # Measured numbers change with every message; what is told is what they are about.
            gist = re.sub(r"[\d.]+", "#", text)
            if text and gist != said.get((logged.name, who)):
                yield f"{1e-9 * (logged.received_ns - began_ns):8.2f} s  {who:<11} {text}"
            said[logged.name, who] = gist


def _stage(status: Any) -> str:
    if status.finished:
        return "every stage is done"
    return f"stage {status.stage + 1} of {status.stages}: {status.stage_name}" if status.stages else ""


def _program(message: Any) -> str:
    return f"{message.sha256[:12]} by {message.written_by}" if message.document else "none"


def _safety(status: Any) -> str:
    return f"{status.state_name.lower()}{f': {status.reason}' if status.reason else ''}"


_TELLERS: tuple[tuple[Topic[Any], str, Callable[[Any], str]], ...] = (
    (topics.INSTRUCTION, "instruction", lambda message: f'"{message.data}"'),
    (topics.REWARD_PROGRAM, "program", _program),
    (topics.STEERING_STATUS, "stage", _stage),
    (topics.STEERING_STATUS, "steering", lambda status: status.reason),
    (topics.SAFETY_STATUS, "executor", _safety),
)
