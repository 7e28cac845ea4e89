"""What a pilot was told, call by call, so that another one can be told the same: a run replays from its log.

A journal is lines of JSON, one for each call that changes a pilot, numbered without a gap:

    {"number": 0, "call": "reset", "format": 1, "origin": {...}, "program": "..."}
    {"number": 1, "call": "set_program", "program": "..."}
    {"number": 2, "call": "tick", "sequence": 17, "delay_s": 0.03, "observation": {...}, "clock_s": []}
    {"number": 3, "call": "commit", "chunk": {...}}

Numbers are written with all their digits: what is read is what was written, to the last bit.  A reset names everything
that holds until the next one, so that a reader may begin at any reset.  `steering.replay` is the reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field

from vls_steering.core.clocks import Clock
from vls_steering.core.config import Settings
from vls_steering.core.types import ActionChunk, ChunkSource, Keypoint, Keypoints, Observation, RobotState
from vls_steering.rewards import CompiledProgram
from vls_steering.steering.pilot import Pilot
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.telemetry import TickResult

FORMAT = 1


class Origin(Settings):
    """What a pilot was made of."""

    policy: str = Field(description="name of the policy")
    policy_sha256: str = Field(description="SHA-256 of its weights")
    weights: str = Field("", description="file that they came from; empty = the policy that comes along")
    preset: str = Field("", description="preset that the settings started from")
    steering: SteeringSettings = Field(description="the settings in force, calibration included")
    seed: int = Field(ge=0, description="seed of the sampler")
    threads: int = Field(1, ge=1, description="threads of the network")
    made_with: dict[str, str] = Field(
        default_factory=dict, description="processor and libraries: others may round differently"
    )


class TapedClock:
    """A clock that remembers what it said, because a deadline makes a tick depend on it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings_s: list[float] = []

    def now_s(self) -> float:
        self._readings_s.append(self._clock.now_s())
        return self._readings_s[-1]

    def sleep_until(self, stamp_s: float) -> None:
        self._clock.sleep_until(stamp_s)

    def rewind(self) -> list[float]:
        """What was said since the last time, s; forgotten from now on."""
        readings_s, self._readings_s = self._readings_s, []
        return readings_s


class JournaledPilot:
    """A pilot that writes down what it is told; `write` gets one line for each call."""

    def __init__(self, pilot: Pilot, clock: TapedClock, origin: Origin, write: Callable[[str], None]) -> None:
        """`clock` is the pilot's own."""
        self._pilot, self._clock, self._write = pilot, clock, write
        self._origin = origin.model_dump(mode="json")
        self._program = ""
        self._number = 0

    def reset(self) -> None:
        """As Pilot.reset."""
        self._note("reset", format=FORMAT, origin=self._origin, program=self._program)
        self._pilot.reset()

    def set_program(self, program: CompiledProgram | None) -> None:
        """As Pilot.set_program."""
        self._program = program.program.canonical if program is not None else ""
        self._note("set_program", program=self._program)
        self._pilot.set_program(program)

    def tick(self, observation: Observation, delay_s: float, sequence: int) -> TickResult:
        """As Pilot.tick; `sequence` is what the chunk is called outside.

        A tick is noted when it is over, also when it raised: only then is known what its clock said.
        """
        self._clock.rewind()
        try:
            return self._pilot.tick(observation, delay_s)
        finally:
            readings_s = self._clock.rewind()
            self._note(
                "tick",
                sequence=sequence,
                delay_s=float(delay_s),
                observation=observation_json(observation),
                clock_s=readings_s if self._origin["steering"]["deadline_ms"] else [],
            )

    def commit(self, chunk: ActionChunk) -> None:
        """As Pilot.commit."""
        self._note("commit", chunk=chunk_json(chunk))
        self._pilot.commit(chunk)

    def _note(self, call: str, **arguments: Any) -> None:
        self._write(json.dumps({"number": self._number, "call": call, **arguments}))
        self._number += 1


def observation_json(observation: Observation) -> dict[str, Any]:
    robot, keypoints = observation.robot, observation.keypoints
    points = [_plain(vars(point)) for point in keypoints.points]
    return {"robot": _plain(vars(robot)), "keypoints": {"stamp_s": float(keypoints.stamp_s), "points": points}}


def observation_of(document: dict[str, Any]) -> Observation:
    """Inverse of `observation_json`."""
    keypoints = document["keypoints"]
    points = tuple(Keypoint(**point) for point in keypoints["points"])
    return Observation(RobotState(**document["robot"]), Keypoints(keypoints["stamp_s"], points))


def chunk_json(chunk: ActionChunk) -> dict[str, Any]:
    return {**_plain(vars(chunk)), "source": chunk.source.name}


def chunk_of(document: dict[str, Any]) -> ActionChunk:
    """Inverse of `chunk_json`."""
    return ActionChunk(**{**document, "source": ChunkSource[document["source"]]})


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Arrays and numbers of numpy as JSON has them."""
    return {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value for key, value in fields.items()
    }
