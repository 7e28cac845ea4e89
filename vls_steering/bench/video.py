"""The film of a run: the scene with every particle, the hand's view, and what the steering was doing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

from vls_steering.bench import paint
from vls_steering.bench.recording import Recording, TickTrace
from vls_steering.bench.score import Measures
from vls_steering.bench.studio import MAIN_SIZE, WRIST_SIZE, Studio, View
from vls_steering.core.types import Keypoints
from vls_steering.sim.world import World

SIDE_PX = 320
FRAME_SIZE = (MAIN_SIZE[0] + SIDE_PX, MAIN_SIZE[1])
MARGIN_PX = 16
STAGE_COLUMNS = 34  # characters of a stage's name on one line
STILL_S = 1.6  # the last frame stays this long
TRAIL_S = 3.0
POSTER_SHARE = 0.2  # of the last take: the arm is on its way and the particles fan out
STALE_S = 0.45  # particles older than this are not shown


@dataclass(frozen=True)
class Take:
    """One run in the film."""

    recording: Recording
    measures: Measures
    title: str  # "the policy alone"
    verdict: str  # shown at the end
    good: bool
    speed: float = 1.0  # 2: twice as fast as it happened
    keep_outs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Film:
    """What was written, and one picture that stands for it."""

    frames: int
    still: np.ndarray  # (720, 1280, 3) uint8 RGB


def write_video(
    takes: Sequence[Take],
    path: Path,
    world: World,
    fps: int = 10,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Film:
    """Render the takes one after the other into an H.264 file.

    `world` lends its model and is reset to each take's layout; nothing is simulated.
    """
    total = sum(frame_count(take, fps) for take in takes)
    poster = total - frame_count(takes[-1], fps) + round(POSTER_SHARE * _moving_frames(takes[-1], fps))
    writer = _encoder(path, fps)
    done = 0
    try:
        with Studio(world) as studio:
            for take in takes:
                world.reset(take.recording.facts.layout)
                for frame in frames(take, studio, fps):
                    writer.send(np.ascontiguousarray(frame))
                    if done == poster:
                        still = frame.copy()
                    done += 1
                    progress(done, total)
    finally:
        writer.close()
    return Film(done, still)


def _encoder(path: Path, fps: int) -> Generator[None, np.ndarray | None, None]:
    """Takes frames by `send`; H.264 that every browser plays."""
    writer: Generator[None, np.ndarray | None, None] = imageio_ffmpeg.write_frames(
        str(path),
        FRAME_SIZE,
        fps=fps,
        codec="libx264",
        pix_fmt_out="yuv420p",
        output_params=["-crf", "20", "-preset", "veryfast", "-movflags", "+faststart"],
        macro_block_size=16,
        ffmpeg_log_level="error",
    )
    writer.send(None)
    return writer


def frame_count(take: Take, fps: int) -> int:
    """Frames of one take, the still at its end included."""
    return _moving_frames(take, fps) + round(STILL_S * fps)


def frames(take: Take, studio: Studio, fps: int) -> Iterator[np.ndarray]:
    """(720, 1280, 3) uint8 RGB, one per frame of the film."""
    stamps = take.recording.state_stamps_s
    for number in range(_moving_frames(take, fps)):
        at_s = stamps[0] + number * take.speed / fps
        yield compose(take, studio, min(int(np.searchsorted(stamps, at_s)), len(stamps) - 1))
    last = compose(take, studio, len(stamps) - 1)
    _announce(last, take)
    for _ in range(round(STILL_S * fps)):
        yield last


def compose(take: Take, studio: Studio, index: int) -> np.ndarray:
    """The frame of recorded state `index`."""
    recording = take.recording
    now_s = float(recording.state_stamps_s[index])
    tick = _latest(recording.ticks, now_s)
    studio.show(recording.states[index])
    view = studio.overview()
    _annotate(take, view, index, tick)
    frame = np.full((FRAME_SIZE[1], FRAME_SIZE[0], 3), paint.PANEL, np.uint8)
    frame[:, : MAIN_SIZE[0]] = view.pixels
    _side_panel(frame, take, studio.wrist(), tick, now_s)
    return frame


def _moving_frames(take: Take, fps: int) -> int:
    return max(1, int(take.recording.duration_s * fps / take.speed))


def _latest(ticks: Sequence[TickTrace], now_s: float) -> TickTrace | None:
    index = int(np.searchsorted([tick.stamp_s for tick in ticks], now_s + 1e-6)) - 1
    return ticks[index] if index >= 0 else None


def _annotate(take: Take, view: View, index: int, tick: TickTrace | None) -> None:
    """Everything that is drawn into the scene."""
    picture, stamps = view.pixels, take.recording.state_stamps_s
    now_s = float(stamps[index])
    for point in _seen_at(take.recording.keypoints, now_s).points:
        if point.name in take.keep_outs:
            paint.box(view, picture, point, paint.RED, named=False)
    since = int(np.searchsorted(stamps, now_s - TRAIL_S))
    paint.plumb_line(view, picture, take.measures.tcp[index])
    paint.trail(view, picture, take.measures.tcp[since : index + 1])
    if tick is not None and now_s - tick.stamp_s < STALE_S:
        paint.particles(view, picture, tick.candidates, tick.scores, tick.chosen)
    elapsed_s = now_s - float(stamps[0])
    faster = f"   {take.speed:g}x speed" if take.speed != 1 else ""
    paint.veil(picture, (0, MAIN_SIZE[1] - 40), (MAIN_SIZE[0], 40), 0.55)
    paint.text(picture, f"{elapsed_s:4.1f} s{faster}", (MARGIN_PX, MAIN_SIZE[1] - 14), 17)
    _legend(picture, (MAIN_SIZE[0] - 420, MAIN_SIZE[1] - 14))


def _seen_at(keypoints: Sequence[Keypoints], now_s: float) -> Keypoints:
    index = int(np.searchsorted([points.stamp_s for points in keypoints], now_s + 1e-6)) - 1
    return keypoints[max(index, 0)] if keypoints else Keypoints(now_s)


def _legend(picture: np.ndarray, at: tuple[int, int]) -> None:
    x, y = at
    paint.text(picture, "worst", (x, y), 14, paint.QUIET)
    for step in range(70):
        cv2.line(picture, (x + 46 + step, y - 9), (x + 46 + step, y - 1), paint.reward_colour(step / 69), 1)
    paint.text(picture, "best reward", (x + 122, y), 14, paint.QUIET)
    paint.rounded(picture, (x + 228, y - 8), (34, 6), paint.TEAL)
    paint.text(picture, "chosen", (x + 270, y), 14, paint.QUIET)
    paint.rounded(picture, (x + 334, y - 6), (26, 2), paint.INK)
    paint.text(picture, "path", (x + 368, y), 14, paint.QUIET)


def _side_panel(frame: np.ndarray, take: Take, wrist: np.ndarray, tick: TickTrace | None, now_s: float) -> None:
    x, facts = MAIN_SIZE[0] + MARGIN_PX, take.recording.facts
    paint.text(frame, take.title.upper(), (x, 34), 16, paint.TEAL if facts.program else paint.AMBER, bold=True)
    y = paint.paragraph(frame, f'"{facts.instruction}"', (x, 68), 19, 30)
    cv2.line(frame, (x, y), (x + WRIST_SIZE[0], y), paint.LINE, 1)
    names = _stage_names(take.recording)
    if names and tick is not None:
        _stages(frame, (x, y + 30), names, tick)
    else:
        paint.text(frame, "hears no instruction:", (x, y + 32), 16, paint.QUIET)
        paint.text(frame, "it does whatever it does", (x, y + 54), 16, paint.QUIET)
    if tick is not None:
        _numbers(frame, (x, MAIN_SIZE[1] - WRIST_SIZE[1] - 130), tick)
    top = MAIN_SIZE[1] - WRIST_SIZE[1] - MARGIN_PX
    frame[top : top + WRIST_SIZE[1], x : x + WRIST_SIZE[0]] = wrist
    paint.text(frame, "hand camera", (x, top - 8), 14, paint.QUIET)


def _stage_names(recording: Recording) -> list[str]:
    """Of the program; a stage that was never reached has no name yet."""
    named = {tick.stage: tick.stage_name for tick in recording.ticks if tick.stages}
    count = max((tick.stages for tick in recording.ticks), default=0)
    return [named.get(number, f"stage {number + 1}") for number in range(count)]


def _stages(frame: np.ndarray, at: tuple[int, int], names: Sequence[str], tick: TickTrace) -> None:
    x, y = at
    bar_px = WRIST_SIZE[0] - 52
    for number, name in enumerate(names):
        over = tick.stages and (number < tick.stage or tick.numbers.get("finished", 0.0) > 0)
        current = number == tick.stage and not over
        share = 1.0 if over else tick.numbers.get("progress", 0.0) if current else 0.0
        ink = paint.INK if current else paint.GREEN if over else paint.QUIET
        y = paint.paragraph(frame, name, (x, y), 16, STAGE_COLUMNS, ink, bold=current) - 12
        paint.rounded(frame, (x, y), (bar_px, 8), paint.LINE)
        if share > 0.02:
            paint.rounded(frame, (x, y), (round(share * bar_px), 8), paint.GREEN if over else paint.TEAL)
        paint.text(frame, f"{100 * share:3.0f} %", (x + bar_px + 10, y + 9), 14, ink)
        y += 34


def _numbers(frame: np.ndarray, at: tuple[int, int], tick: TickTrace) -> None:
    x, y = at
    cells = (
        ("tick", f"{tick.numbers.get('tick_ms', 0.0):.0f} ms"),
        ("particles", f"{len(tick.candidates)}"),
        ("strength", f"{tick.numbers.get('strength', 0.0):.2f}"),
        ("shift", f"{1000 * tick.numbers.get('shift_m', 0.0):.0f} mm"),
    )
    cv2.line(frame, (x, y - 26), (x + WRIST_SIZE[0], y - 26), paint.LINE, 1)
    for number, (name, value) in enumerate(cells):
        column, row = number % 2, number // 2
        left, line = x + column * (WRIST_SIZE[0] // 2), y + row * 44
        paint.text(frame, name, (left, line), 13, paint.QUIET)
        paint.text(frame, value, (left, line + 20), 18, paint.INK, bold=True)


def _announce(frame: np.ndarray, take: Take) -> None:
    """The verdict across the scene."""
    height, top = 58, 40
    paint.veil(frame, (0, top), (MAIN_SIZE[0], height), 0.78)
    colour = paint.GREEN if take.good else paint.RED
    cv2.rectangle(frame, (0, top), (6, top + height), colour, cv2.FILLED)
    paint.text(frame, take.verdict, (28, top + 38), 25, colour, bold=True)
