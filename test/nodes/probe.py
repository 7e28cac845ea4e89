"""A node whose body notes what happens to it; used by the tests, in their process and as a process of its own."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Literal

from pydantic import Field
from std_msgs.msg import String

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, ShapeError
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.run import run_node
from vls_steering.nodes.topics import LATCHED, Topic

LAST_WORDS = Topic("last_words", String, LATCHED)
POKE = Topic("poke", String, LATCHED)


class Gains(Settings):
    stiffness: float = Field(10.0, gt=0, le=100, description="N/m")


class ProbeSettings(Settings):
    rate_hz: float = Field(20.0, ge=1, le=100, description="how often it looks")
    count: int = Field(3, ge=0, description="how many")
    mode: Literal["quiet", "loud"] = Field("quiet", description="how it speaks")
    journal: str = Field("", description="file to which the hooks are written")
    trouble: str = Field("", description="hook that raises")
    stop_takes_s: float = Field(0.0, ge=0, description="how long stop works before its last word")
    hang: bool = Field(False, description="never come back from stop")
    gains: Gains = Gains()


class ProbeBody:
    def __init__(self, node: RoomNode, settings: ProbeSettings) -> None:
        self.node, self.settings = node, settings
        self.journal: list[str] = []
        self.last_words = node.publisher(LAST_WORDS)
        self.note("set_up")

    def start(self) -> None:
        self.node.subscribe(POKE, self.poked, expected_hz=10.0)
        self.node.every_monotonic(0.02, lambda: None)
        self.note("start")

    def stop(self) -> None:
        if self.settings.stop_takes_s:
            self.note("stopping")
            time.sleep(self.settings.stop_takes_s)
        self.last_words.publish(String(data="holding"))
        if self.settings.hang:
            threading.Event().wait()
        self.note("stop")

    def tear_down(self) -> None:
        self.note("tear_down")

    def poked(self, message: String) -> None:
        if message.data == "raise":
            raise ZeroDivisionError("poked too hard")
        if message.data == "bad input":
            raise ShapeError("no poke at all")
        self.note("poked")

    def note(self, event: str) -> None:
        self.journal.append(event)
        if self.settings.journal:
            with Path(self.settings.journal).open("a") as file:
                file.write(f"{event} {os.getpid()}\n")
        if self.settings.trouble == event:
            raise ConfigurationError(f"trouble in {event}", "Remove it")


PROBE = NodeDefinition("probe", ProbeSettings, ProbeBody)
SELF_STARTING_PROBE = NodeDefinition("probe", ProbeSettings, ProbeBody, self_starting=True)


def main() -> int:
    return run_node(SELF_STARTING_PROBE)


if __name__ == "__main__":
    sys.exit(main())
