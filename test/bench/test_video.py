"""The film has the frames it should have, and shows what it should show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from bench.runs import LIFT, lifting, world

from vls_steering.bench import paint
from vls_steering.bench.score import Scorer
from vls_steering.bench.studio import MAIN_SIZE, Studio, View
from vls_steering.bench.video import FRAME_SIZE, Take, compose, frame_count, write_video


def take(seconds: float = 0.5) -> Take:
    recording = lifting()
    kept = recording.state_stamps_s <= recording.state_stamps_s[0] + seconds + 1e-6
    short = replace(recording, states=recording.states[kept], state_stamps_s=recording.state_stamps_s[kept])
    measures = Scorer(world()).measure(short, LIFT)
    return Take(short, measures, "steered", "Success", good=True, keep_outs=frozenset({"purple box"}))


def test_the_film_can_be_decoded_and_has_every_frame(tmp_path: Path) -> None:
    path, calls = tmp_path / "video.mp4", []
    takes = [replace(take(0.4), speed=2.0), take(0.4)]
    film = write_video(takes, path, world(), fps=10, progress=lambda done, total: calls.append((done, total)))
    assert film.frames == sum(frame_count(t, 10) for t in takes) == 2 + 4 + 2 * 16
    assert calls[-1] == (film.frames, film.frames)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == film.frames
    assert seconds == pytest.approx(film.frames / 10, abs=0.11)
    capture = cv2.VideoCapture(str(path))
    good, frame = capture.read()
    assert good
    assert frame.shape == (FRAME_SIZE[1], FRAME_SIZE[0], 3)
    assert film.still.shape == frame.shape


def test_particles_and_keep_out_are_drawn_into_the_scene() -> None:
    shown = take()
    bare = replace(shown, recording=replace(shown.recording, ticks=(), keypoints=()))
    world().reset(shown.recording.facts.layout)
    with Studio(world()) as studio:
        painted, empty = compose(shown, studio, 2), compose(bare, studio, 2)
    scene = (slice(0, 680), slice(0, MAIN_SIZE[0]))
    teal = np.abs(painted[scene].astype(int) - paint.TEAL).max(axis=2) < 30
    assert teal.sum() > 200  # the chosen particle
    assert (np.abs(empty[scene].astype(int) - paint.TEAL).max(axis=2) < 30).sum() == 0


def test_the_projection_agrees_with_the_picture() -> None:
    """The cylinder is where its top projects to; the cube is behind the post."""
    world().reset(lifting().facts.layout)
    with Studio(world()) as studio:
        studio.show(world().full_state())
        view = studio.overview()
    pixels, seen = view.project(np.array([[0.50, 0.10, 0.05], [0.45, -0.15, 0.038]]))
    column, row = np.rint(pixels[0]).astype(int)
    red, green, blue = map(int, view.pixels[row, column])
    assert green > 100
    assert max(red, blue) < 60
    assert list(seen) == [True, False]


def test_reward_colours_run_from_worst_to_best_and_grey_is_ruled_out() -> None:
    shares = paint.reward_shares(np.array([3.0, 1.0, np.nan, 2.0]))
    np.testing.assert_array_equal(shares, [1.0, 0.0, np.nan, 0.5])
    assert [paint.reward_colour(float(share)) for share in shares] == [paint.GREEN, paint.RED, paint.GREY, paint.AMBER]


def test_lines_outside_the_picture_do_no_harm() -> None:
    view = View(np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 9.0), np.c_[np.eye(3), [0, 0, 1.0]])
    paint.polyline(view, view.pixels, np.array([[-500.0, -500, 0], [-400, -400, 0]]), paint.RED, 2)
    assert not view.pixels.any()
    paint.polyline(view, view.pixels, np.array([[-10.0, 10, 0], [100, 10, 0]]), paint.RED, 2)
    assert view.pixels[10].any()
