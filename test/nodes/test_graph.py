"""The graph as users run it: a process for every node, DDS between them, a camera picture at one end, motion at the
other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from nodes.graph import Graph
from nodes.rights import may_go_first
from policies.untrained import untrained_policy

from vls_steering.msg import SafetyStatus, VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes.scheduling import Urgency
from vls_steering.nodes.sim_layout import layout_of
from vls_steering.safety import ReasonCode
from vls_steering.sim.tasks import Skill, SkillKind, SkillScorer
from vls_steering.sim.world import World

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.usefixtures("ros")]

# Slower than real time: what is tested is the graph, on whatever machine and beside whatever else runs there.
SIMULATION = {"real_time_factor": 0.25, "seed": 3}
MakeGraph = Callable[..., Graph]


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[MakeGraph]:
    made: list[Graph] = []

    def make(**parameters: dict[str, Any]) -> Graph:
        made.append(Graph(tmp_path, parameters))
        made[-1].bring_up()
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def moving(graph: MakeGraph, tmp_path: Path) -> Graph:
    """An arm that follows a policy without sense, so that something can happen to it."""
    weights = str(untrained_policy(tmp_path / "untrained.safetensors"))
    one = graph(
        sim_bridge=SIMULATION,
        executor={"auto_arm": True},
        camera={},
        perception={},
        policy={"policy": weights, "unsteered": True},
    )
    one.until(lambda: _follows(one), within_s=120.0, what="motion")
    return one


def test_a_policy_that_is_killed_in_motion_leaves_the_arm_holding(moving: Graph) -> None:
    moving.kill("policy")
    moving.until(lambda: _reason(moving) is ReasonCode.POLICY_SILENT, within_s=60.0, what="a latched hold")
    status = moving.newest(topics.SAFETY_STATUS)
    assert (status.state, status.latched) == (SafetyStatus.STATE_HOLDING, True)
    assert max(abs(v) for v in moving.newest(topics.SET_POINT).joint_velocities) == 0.0
    reasons = {ReasonCode(message.reason_code) for message in moving.heard[topics.SAFETY_STATUS.name]}
    assert ReasonCode.CHUNK_TIMEOUT in reasons or ReasonCode.CHUNK_ENDED in reasons  # it stopped before it latched


def test_an_executor_that_is_killed_leaves_the_world_running_and_the_arm_still(moving: Graph) -> None:
    moving.kill("executor")
    moving.spin(1.0)
    before = len(moving.heard[topics.JOINT_STATES.name])
    moving.until(lambda: len(moving.heard[topics.JOINT_STATES.name]) > before + 50, within_s=60.0, what="the world")
    arm = moving.newest(topics.JOINT_STATES).velocity[:7]
    assert max(abs(v) for v in arm) < 0.01


def test_what_has_a_deadline_runs_before_what_has_none(moving: Graph) -> None:
    """Of the perception only the thread that tells of the cameras, without which the executor stops."""
    told = (Urgency.CONTROLS,) if may_go_first() else ()
    assert _urgencies(moving, "perception") == told
    assert set(_urgencies(moving, "executor")) == set(told)
    assert set(_urgencies(moving, "policy")) == ({Urgency.PLANS} if told else set())
    assert _urgencies(moving, "camera") == _urgencies(moving, "sim_bridge") == ()


def test_every_process_ends_cleanly_when_interrupted(moving: Graph) -> None:
    assert set(moving.close().values()) == {0}


def test_a_sentence_becomes_a_lifted_cube(graph: MakeGraph) -> None:
    """Judged by the world itself, with the policy that comes along."""
    one = graph(sim_bridge=SIMULATION, executor={}, camera={}, perception={}, vlm={}, policy={})
    # Right after the start the executor may not have heard a joint state yet.
    one.until(lambda: one.trigger(topics.ARM_SERVICE).success, what="arming")
    one.instruct("pick up the red cube")
    one.until(lambda: (s := one.newest(topics.VLM_STATUS)) and s.state == VlmStatus.STATE_ACCEPTED, 60.0, "a program")
    one.until(lambda: (s := one.newest(topics.STEERING_STATUS)) and s.finished, within_s=240.0, what="the task")
    _let_pass(one, duration_s=1.0)  # lifted counts when it stays lifted
    assert Skill(SkillKind.LIFT, "red cube") in _done(one)
    reasons = {ReasonCode(m.reason_code) for m in one.heard[topics.SAFETY_STATUS.name] if m.latched}
    assert reasons == set()


def _follows(graph: Graph) -> bool:
    status, sent = graph.newest(topics.SAFETY_STATUS), graph.newest(topics.SET_POINT)
    return (
        status is not None
        and status.state == SafetyStatus.STATE_TRACKING
        and sent is not None
        and max(abs(v) for v in sent.joint_velocities) > 0.01
    )


def _let_pass(graph: Graph, duration_s: float) -> None:
    """Simulated time."""
    start = len(graph.heard[topics.SIM_STATE.name])
    graph.until(lambda: len(graph.heard[topics.SIM_STATE.name]) > start + 20 * duration_s, within_s=60.0, what="time")


def _urgencies(graph: Graph, name: str) -> tuple[int, ...]:
    """Real-time priorities of those threads of a process that have one."""
    threads = [int(entry.name) for entry in Path(f"/proc/{graph.process_id(name)}/task").iterdir()]
    return tuple(priority for thread in threads if (priority := os.sched_getparam(thread).sched_priority))


def _reason(graph: Graph) -> ReasonCode:
    return ReasonCode(graph.newest(topics.SAFETY_STATUS).reason_code)


def _done(graph: Graph) -> set[Skill]:
    """Skills completed at any time so far, from the recorded states of the world."""
    layout = layout_of(graph.newest(topics.SIM_LAYOUT).data)
    world, scorer, done = World(layout), SkillScorer(layout), set[Skill]()
    for message in graph.heard[topics.SIM_STATE.name]:
        world.restore(np.asarray(message.data))
        done |= set(scorer.completed(world.truth()))
    return done
