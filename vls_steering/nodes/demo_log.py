"""The log of a task over DDS -> the Recording that report, film and score are made from."""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vls_steering.bench.recording import ExecutorTrace, Recorder, Recording, RunFacts, TickTrace
from vls_steering.core.arrays import FloatArray
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import keypoints_of, set_point_of, stamp_seconds
from vls_steering.nodes.markers import CHOSEN, RULED_OUT
from vls_steering.nodes.picture_age import camera_to_set_point_ms
from vls_steering.nodes.topic_log import Entry
from vls_steering.safety.reasons import ReasonCode

NUMBERS = (
    "progress", "strength", "shift_m", "best_score", "margin", "safety_m", "network_rows", "nfe", "share_steered",
    "finished", "warm", "jumped", "resamples", "ess", "cut_short", "deadline_misses",
    "tick_ms", "encode_ms", "denoise_ms", "guide_ms", "resample_ms", "select_ms", "observation_age_ms",
)  # fmt: skip


@dataclass(frozen=True)
class LoggedProgram:
    """The reward program that was in force; empty strings when none was."""

    document: str = ""
    sha256: str = ""
    written_by: str = ""
    since_s: float = 0.0


def program_of(entries: Sequence[Entry]) -> LoggedProgram:
    """The first program that was accepted."""
    for message in _messages(entries, topics.REWARD_PROGRAM):
        if message.document:
            since_s = stamp_seconds(message.header.stamp)
            return LoggedProgram(message.document, message.sha256, message.written_by, since_s)
    return LoggedProgram()


def recording_of(entries: Sequence[Entry], facts: RunFacts) -> Recording:
    """From the acceptance of the program to the end of the log."""
    program = program_of(entries)
    recorder = Recorder()
    for message in _messages(entries, topics.SIM_STATE):
        state = np.asarray(message.data)
        if state[0] >= program.since_s:
            recorder.states.append(state)
    recorder.set_points += [
        _set_point_row(message)
        for message in _messages(entries, topics.SET_POINT)
        if stamp_seconds(message.header.stamp) >= program.since_s
    ]
    recorder.camera_to_set_point_ms += camera_to_set_point_ms(entries, program.since_s).tolist()
    recorder.keypoints += [keypoints_of(message) for message in _messages(entries, topics.KEYPOINTS)]
    recorder.executor += [
        _executor_trace(message)
        for message in _messages(entries, topics.SAFETY_STATUS)
        if stamp_seconds(message.header.stamp) >= program.since_s
    ]
    drawn = [message for message in _messages(entries, topics.STEERING_MARKERS) if message.markers]
    particles = {_stamp(message.markers[0]): message for message in drawn}
    recorder.ticks += [
        _tick_trace(status, particles.get(_stamp(status)))
        for status in _messages(entries, topics.STEERING_STATUS)
        if program.sha256 and status.program_sha256 == program.sha256
    ]
    return recorder.finish(facts)


def candidates_of(markers: Any) -> tuple[FloatArray, FloatArray, int]:
    """Markers of `nodes.markers.steering_markers` -> candidates (K, H, 3) m, shares of the reward (K,), the chosen.

    None stands for a tick without markers.
    """
    lines = [marker for marker in markers.markers if marker.ns == "candidates"] if markers is not None else []
    paths = [[(point.x, point.y, point.z) for point in line.points] for line in lines]
    chosen = next((i for i, line in enumerate(lines) if _same_colour(line, CHOSEN)), -1)
    shares = [
        1.0 if i == chosen else float("nan") if _same_colour(line, RULED_OUT) else line.color.g
        for i, line in enumerate(lines)
    ]
    return np.array(paths).reshape(len(lines), -1 if lines else 0, 3), np.array(shares), chosen


def _tick_trace(status: Any, markers: Any) -> TickTrace:
    candidates, shares, chosen = candidates_of(markers)
    return TickTrace(
        stamp_s=stamp_seconds(status.header.stamp),
        candidates=candidates,
        scores=shares,
        chosen=chosen,
        stage=status.stage,
        stages=status.stages,
        stage_name=status.stage_name,
        numbers={**{name: float(getattr(status, name)) for name in NUMBERS}, **_derived(status)},
        reason=status.reason,
    )


def _derived(status: Any) -> dict[str, float]:
    """Numbers under other names, or made of several; a tick without particles has no levels."""
    levels = {"level_mean": float(np.mean(status.levels))} if len(status.levels) else {}
    return {"frozen": float(status.frozen_steps), **levels}


def _executor_trace(message: Any) -> ExecutorTrace:
    return ExecutorTrace(
        stamp_s=stamp_seconds(message.header.stamp),
        state=message.state_name,
        reason=message.reason,
        latched=message.latched,
        passed=message.chunks_passed,
        scaled=message.chunks_scaled,
        rejected=message.chunks_rejected,
        gaps=message.gaps,
        # The words hold measured numbers; the code is what can be counted.
        last_reason=_in_words(message.last_reason_code),
    )


def _in_words(reason_code: int) -> str:
    return ReasonCode(reason_code).name.lower().replace("_", " ") if reason_code else ""


def _set_point_row(message: Any) -> FloatArray:
    sent = set_point_of(message)
    return np.r_[sent.stamp_s, sent.joint_positions, sent.joint_velocities, sent.gripper_width_m]


def _messages(entries: Sequence[Entry], topic: topics.Topic[Any]) -> list[Any]:
    return [entry.message() for entry in entries if entry.topic is topic]


def _stamp(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def _same_colour(marker: Any, colour: Any) -> bool:
    seen, wanted = (array.array("f", (c.r, c.g, c.b, c.a)) for c in (marker.color, colour))
    return bool(np.allclose(seen, wanted, atol=1e-3))
