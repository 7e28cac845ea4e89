"""What was recorded is what is read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.runs import FREE, lifting

from vls_steering.bench.recording import Recorder, Recording
from vls_steering.core.errors import ShapeError


def test_a_recording_survives_the_file(tmp_path: Path) -> None:
    recording = replace(lifting(), camera_to_set_point_ms=np.array([150.0, 160.5]))
    recording.save(tmp_path / "run.npz")
    back = Recording.load(tmp_path / "run.npz")
    assert back.facts == recording.facts
    assert back.executor == recording.executor
    np.testing.assert_array_equal(back.states, recording.states)
    np.testing.assert_array_equal(back.set_points, recording.set_points)
    np.testing.assert_array_equal(back.camera_to_set_point_ms, [150.0, 160.5])
    for was, now in zip(recording.ticks, back.ticks, strict=True):
        np.testing.assert_array_equal(was.candidates, now.candidates)
        np.testing.assert_array_equal(was.scores, now.scores)
        assert (was.stamp_s, was.chosen, was.stage_name, was.numbers) == (
            now.stamp_s, now.chosen, now.stage_name, now.numbers,
        )  # fmt: skip
    for seen, again in zip(recording.keypoints, back.keypoints, strict=True):
        assert seen.names == again.names
        np.testing.assert_array_equal(seen.points[0].position, again.points[0].position)


def test_ticks_that_hold_have_no_particles_and_keep_their_place() -> None:
    counts = [len(tick.candidates) for tick in lifting().ticks]
    assert set(counts) == {0, 5}


def test_nothing_recorded_is_a_recording_too(tmp_path: Path) -> None:
    empty = Recorder().finish(lifting().facts)
    empty.save(tmp_path / "run.npz")
    back = Recording.load(tmp_path / "run.npz")
    assert back.duration_s == 0.0
    assert back.ticks == ()
    assert back.facts.layout == FREE


def test_a_recording_from_before_pictures_had_an_age_is_read(tmp_path: Path) -> None:
    lifting().save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as stored:
        older = {name: stored[name] for name in stored if name != "camera_to_set_point_ms"}
    np.savez(tmp_path / "older.npz", **older)
    assert Recording.load(tmp_path / "older.npz").camera_to_set_point_ms.shape == (0,)


def test_another_format_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", document=np.array('{"format": 99}'))
    with pytest.raises(ShapeError, match="format 99"):
        Recording.load(tmp_path / "run.npz")
