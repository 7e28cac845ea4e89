"""How well keypoints follow things that move: rendered sequences of real physics, against the simulator's truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vls_steering.bench.perception_sequences import MotionKind, MotionSequence, draw_sequence
from vls_steering.bench.progress import Progress
from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import CameraFrame, Keypoints, RobotState
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.robots.kinematics import ArmKinematics, UnreachablePose
from vls_steering.sim.cameras import CameraRig
from vls_steering.sim.model import FRONT_CAMERA
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.scripted import POLICY_STEP_S
from vls_steering.sim.stepper import TcpStepper
from vls_steering.sim.world import World

SETTLING_UPDATES = 4  # before the arm starts; not scored
MISSING_M = 1.0  # what a frame counts in which no keypoint has the target's name
HIDDEN_SHARE, SHOWN_SHARE = 0.15, 0.5  # of the pixels that the target had at the start
RECOVERY_S, RECOVERED_M = 1.0, 0.025
COLOURED = 60  # spread of the channels, in grey levels, that only the objects reach


@dataclass(frozen=True)
class MotionScore:
    """Errors of the target's keypoint; the first three tuples have one entry for each scored frame."""

    errors_m: tuple[float, ...]
    sigmas_m: tuple[float, ...]  # what the tracker itself expected, root of the covariance's trace
    kinds: tuple[MotionKind, ...]
    recovered: tuple[bool, ...]  # per reappearance of a target that could not be seen
    update_s: tuple[float, ...]  # processor time of each update of the whole pipeline

    def errors_of(self, kind: MotionKind) -> tuple[float, ...]:
        """The errors of one kind of sequence, m."""
        return tuple(error for error, its_kind in zip(self.errors_m, self.kinds, strict=True) if its_kind is kind)


@dataclass(frozen=True)
class MotionFrame:
    """One instant of a sequence: what perception gets, and the truth."""

    frame: CameraFrame
    robot: RobotState
    position: FloatArray  # (3,) m, true centre of the target
    pixels: int  # that show the target


@dataclass(frozen=True)
class SequenceScore:
    """One sequence's share of a MotionScore."""

    errors_m: tuple[float, ...]
    sigmas_m: tuple[float, ...]
    recovered: tuple[bool, ...]
    update_s: tuple[float, ...]


def measure_motion(
    seed: int, sequences: int, progress: Progress, settings: PerceptionSettings | None = None
) -> MotionScore:
    """Sequences `seed`, `seed + 1`, ... seen by the front camera alone at 10 Hz, every frame scored."""
    stage = MotionStage()
    scores: list[tuple[MotionKind, SequenceScore]] = []
    try:
        for index in range(seed, seed + sequences):
            sequence = stage.draw(index)
            score = score_sequence(sequence.target, stage.play(sequence), settings or PerceptionSettings(), index)
            scores.append((sequence.kind, score))
            progress.advance(f"{sequence.kind.value} {sequence.target}", ok=all(score.recovered))
    finally:
        stage.close()
    return MotionScore(
        errors_m=tuple(error for _, score in scores for error in score.errors_m),
        sigmas_m=tuple(sigma for _, score in scores for sigma in score.sigmas_m),
        kinds=tuple(kind for kind, score in scores for _ in score.errors_m),
        recovered=tuple(outcome for _, score in scores for outcome in score.recovered),
        update_s=tuple(duration for _, score in scores for duration in score.update_s),
    )


class MotionStage:
    """Plays sequences in one world before one camera; needs OpenGL."""

    def __init__(self) -> None:
        self._world = World(draw_layout("play", 0))
        self._rig = CameraRig(self._world, seed=0)
        self._stepper = TcpStepper(self._world, ArmKinematics())
        self._eye = self._rig.render(self._world.full_state(), FRONT_CAMERA).base_from_camera[:3, 3]

    def close(self) -> None:
        """Free the OpenGL context."""
        self._rig.close()

    def draw(self, seed: int) -> MotionSequence:
        """The sequence that `seed` names."""
        return draw_sequence(seed, self._eye)

    def play(self, sequence: MotionSequence) -> Iterator[MotionFrame]:
        """What the camera sees after each step; the first frames are at rest."""
        self._world.reset(sequence.layout)
        self._rig.reset(sequence.layout, sequence.layout.seed)
        self._stepper.reset()
        home = np.repeat([sequence.layout.home_tcp_m], SETTLING_UPDATES, axis=0)
        opened = np.repeat(sequence.gripper_open[:1], SETTLING_UPDATES)
        for tcp, gripper_open in zip(np.vstack([home, sequence.tcp]), [*opened, *sequence.gripper_open], strict=True):
            try:
                self._stepper.step_to(tcp, bool(gripper_open), POLICY_STEP_S)
            except UnreachablePose:
                return  # a script that ran out of the arm's reach; what was seen so far counts
            yield self._look(sequence.target)

    def _look(self, target: str) -> MotionFrame:
        state, position = self._world.full_state(), self._world.truth().positions[target]
        frame = self._rig.render(state, FRONT_CAMERA)
        color, depth = self._rig.render_clean(state, FRONT_CAMERA)
        pixels = _count_pixels(color, depth, frame, position, float(np.linalg.norm(GRASPABLES[target].half_size_m)))
        return MotionFrame(frame, self._world.robot_state(), position, pixels)


def score_sequence(
    target: str, frames: Iterator[MotionFrame], settings: PerceptionSettings, seed: int
) -> SequenceScore:
    """Run a fresh pipeline over one sequence."""
    pipeline = PerceptionPipeline(settings, seed)
    errors_m, sigmas_m, pixels, update_s = [], [], [], []
    for shown in frames:
        start_s = time.process_time()
        keypoints = pipeline.update([shown.frame], shown.robot)
        update_s.append(time.process_time() - start_s)
        error_m, sigma_m = _error(keypoints, target, shown.position)
        errors_m.append(error_m)
        sigmas_m.append(sigma_m)
        pixels.append(shown.pixels)
    recovered = recoveries(errors_m, np.array(pixels) / max(pixels[0], 1), round(RECOVERY_S / POLICY_STEP_S))
    scored = slice(SETTLING_UPDATES, None)
    return SequenceScore(tuple(errors_m[scored]), tuple(sigmas_m[scored]), recovered, tuple(update_s[scored]))


def recoveries(errors_m: Sequence[float], shares: FloatArray, window: int) -> tuple[bool, ...]:
    """One outcome for each time that the target reappears: near the truth `window` frames later, if still in view.

    `shares` (T,) says how much of the target each frame shows.  A target that hides again sooner is judged when it
    was seen last; one that reappears within the last frames, at the end.
    """
    outcomes = []
    hidden = False
    for index, share in enumerate(shares):
        if share < HIDDEN_SHARE:
            hidden = True
        elif hidden and share > SHOWN_SHARE:
            hidden = False
            after = shares[index : index + window + 1]
            seen = int(np.argmax(after < HIDDEN_SHARE)) - 1 if (after < HIDDEN_SHARE).any() else len(after) - 1
            outcomes.append(errors_m[index + seen] <= RECOVERED_M)
    return tuple(outcomes)


def _error(keypoints: Keypoints, target: str, position: FloatArray) -> tuple[float, float]:
    point = keypoints.find(target)
    if point is None:
        return MISSING_M, 0.0
    return float(np.linalg.norm(point.position - position)), float(np.linalg.norm(point.sigma_m))


def _count_pixels(
    color: np.ndarray, depth: np.ndarray, frame: CameraFrame, position: FloatArray, radius_m: float
) -> int:
    """Coloured pixels of the clean picture that lie within `radius_m` of the target's centre."""
    rows, columns = np.nonzero(np.ptp(color, axis=-1) > COLOURED)
    along = depth[rows, columns]
    focal, centre = frame.intrinsics[[0, 1], [0, 1]], frame.intrinsics[:2, 2]
    local = np.column_stack([(columns - centre[0]) / focal[0] * along, (rows - centre[1]) / focal[1] * along, along])
    points = local @ frame.base_from_camera[:3, :3].T + frame.base_from_camera[:3, 3]
    return int((np.linalg.norm(points - position, axis=1) < radius_m + 0.003).sum())
