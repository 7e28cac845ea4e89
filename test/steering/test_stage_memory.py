"""Conditions with a window look back to the beginning of their stage: what was reached no longer pulls."""

from __future__ import annotations

import pytest
import torch
from rewards.table import keypoints
from rewards.table import observe as observe_table

from vls_steering.core.types import Observation, RobotState
from vls_steering.rewards import CompiledStage, Rollout, Scene, compile_program, parse_program
from vls_steering.rewards.progression import MOST_SAMPLES, StageMemory
from vls_steering.steering.settings import StageSettings
from vls_steering.steering.stages import StageMachine

HERE = observe_table(keypoints())
SETTINGS = StageSettings(leave=0.6, dwell_s=0.15, lost_dwell_s=0.3)
LOW_M, HIGH_M = 0.30, 0.45
HIGH_BEFORE_LATE = "eventually(height(ee) >= 40 cm, before=8 s)"


def at_height(stamp_s: float, height_m: float) -> Observation:
    robot = HERE.robot
    tcp = robot.tcp_position.copy()
    tcp[2] = height_m
    state = RobotState(stamp_s, robot.joint_positions, robot.joint_velocities, tcp, robot.tcp_quat_xyzw, 0.08)
    return Observation(state, HERE.keypoints)


def staying(observation: Observation) -> tuple[Rollout, Scene]:
    """A chunk of 0.8 s in which the hand stays."""
    scene = Scene.from_observation(observation, dtype=torch.float64)
    path = scene.tcp.expand(1, 8, 3)
    return Rollout(path, torch.full((1, 8), 0.08, dtype=torch.float64), 0.1 * torch.arange(1, 9)), scene


def compiled(reward: str, safety: str = "", done: str = "height(ee) >= 90 cm") -> CompiledStage:
    entry = {"name": "a stage", "reward": [reward], "done": done} | ({"safety": [safety]} if safety else {})
    return compile_program(parse_program({"instruction": "a task", "stages": [entry]})).stages[0]


def test_what_was_reached_within_the_window_pulls_no_more_though_the_hand_has_left() -> None:
    machine = StageMachine([compiled(HIGH_BEFORE_LATE)], SETTINGS)
    machine.update(at_height(0.0, LOW_M))
    assert machine.judge.score(*staying(at_height(0.0, LOW_M))).item() < -0.5

    machine.update(at_height(0.1, HIGH_M))
    machine.update(at_height(0.2, LOW_M))
    assert machine.judge.score(*staying(at_height(0.2, LOW_M))).item() == 0.0


def test_a_stage_that_begins_anew_remembers_nothing() -> None:
    reached = compiled(HIGH_BEFORE_LATE, done="height(ee) >= 40 cm")
    machine = StageMachine([reached, compiled(HIGH_BEFORE_LATE)], SETTINGS)
    for tick in range(3):
        status = machine.update(at_height(0.1 * tick, HIGH_M))
    assert status.index == 1
    assert machine.update(at_height(0.3, LOW_M)).index == 1
    # The observation that turned the stage is the first it knows, and that was a high one.
    assert machine.judge.score(*staying(at_height(0.3, LOW_M))).item() == 0.0

    machine = StageMachine([reached, compiled(HIGH_BEFORE_LATE)], SETTINGS)
    for tick, height_m in enumerate((HIGH_M, HIGH_M, HIGH_M, LOW_M)):
        machine.update(at_height(0.1 * tick, height_m))
    machine.update(at_height(0.0, LOW_M))  # the world was reset: its clock went back
    assert machine.judge.score(*staying(at_height(0.0, LOW_M))).item() < -0.5


def test_a_gate_that_begins_later_closes_when_its_time_has_come() -> None:
    machine = StageMachine([compiled("minimize(height(ee))", "always(height(ee) >= 40 cm, after=2 s)")], SETTINGS)
    machine.update(at_height(0.0, LOW_M))
    assert machine.judge.safety(*staying(at_height(0.0, LOW_M))).item() > 1e3  # in 0.8 s, nothing is asked yet
    machine.update(at_height(2.0, LOW_M))
    rollout, scene = staying(at_height(2.0, LOW_M))
    assert machine.judge.safety(rollout, scene).item() == pytest.approx(LOW_M - 0.40)
    assert machine.judge.safety_now(scene) == pytest.approx(LOW_M - 0.40)


def test_a_stage_without_windows_keeps_no_past() -> None:
    stage = compiled("eventually(height(ee) >= 40 cm)", "always(height(ee) >= 10 cm)")
    assert stage.memory() is None
    assert StageMachine([stage], SETTINGS).judge is stage


def test_an_hour_is_remembered_thinly_from_its_first_moment_to_its_last() -> None:
    memory = StageMemory(compiled(HIGH_BEFORE_LATE))
    for tick in range(20 * MOST_SAMPLES):
        memory.observe(at_height(0.1 * tick, LOW_M))
    past = memory.past()
    assert past is not None
    assert MOST_SAMPLES / 2 <= len(past.times_s) <= MOST_SAMPLES
    assert past.times_s[0] == pytest.approx(-0.1 * (20 * MOST_SAMPLES - 1))
    assert past.times_s[-1] == 0.0
