"""The faults of `vls bench faults`: how each is brought about, what must become of it and how soon, and its cure.

Bounds are those of config/vls.yaml's time-outs (chunk 0.6 s, policy 1.5 s, cameras 0.2 s) plus the stop and, where a
process dies or stands still, the time until the others notice.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import Bool

from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.arm_rig import CAMERA, ArmRig
from vls_steering.nodes.protocol_arm import PUSH_SERVICE, REFUSE_SERVICE
from vls_steering.safety import ReasonCode

HOLDING, FAULT, TRACKING = SafetyStatus.STATE_HOLDING, SafetyStatus.STATE_FAULT, SafetyStatus.STATE_TRACKING
Act = Callable[[ArmRig], Any]
CAMERA_BOUND_S = 0.3


def _well(rig: ArmRig) -> None:
    rig.do("")


@dataclass(frozen=True)
class Fault:
    """`goes_on`: the arm must not stop for it, only report the reason; NONE then stands for nothing to report.

    `takes_the_world`: the arm itself is gone, and nobody measures its speed.
    """

    name: str
    inject: Act
    states: tuple[int, ...]
    reasons: tuple[ReasonCode, ...]
    within_s: float
    cure: Act = _well
    goes_on: bool = False
    in_ci: bool = False
    takes_the_world: bool = False


def _does(misdeed: str) -> Act:
    return lambda rig: rig.do(misdeed)


def _soft(name: str, misdeed: str, *reasons: ReasonCode, in_ci: bool = False) -> Fault:
    """Chunks nobody can follow: the arm stops for their reason and resumes with the next good one."""
    return Fault(name, _does(misdeed), (HOLDING,), reasons, 1.5, in_ci=in_ci)


def _camera(name: str, misdeed: str, in_ci: bool = False) -> Fault:
    """Pictures that cannot be used: the arm holds for the camera's own fault until somebody arms again."""
    return Fault(
        name,
        lambda rig: rig.do(misdeed, CAMERA),
        (HOLDING,),
        (ReasonCode.STREAM_FAULTY,),
        CAMERA_BOUND_S,
        lambda rig: rig.do("", CAMERA),
        in_ci=in_ci,
    )


def _restart(name: str) -> Act:
    return lambda rig: rig.start(name)


def _start_over(rig: ArmRig) -> None:
    """The executor has ended by itself, or is about to."""
    rig.kill("executor")
    rig.status = None
    rig.start("executor")


def _press_remote(on: bool) -> Act:
    """By the latched topic, as a button on another computer does; its publisher stays, and what it said with it."""

    def press(rig: ArmRig) -> None:
        if rig.panel is None:
            rig.panel = rig.node.create_publisher(Bool, topics.ESTOP.name, topics.ESTOP.quality)
            rig.until(rig.panel.get_subscription_count, 5.0, "a subscription of the emergency stop")
        rig.panel.publish(Bool(data=on))

    return press


def _release_remote(rig: ArmRig) -> None:
    _press_remote(on=False)(rig)
    rig.spin(0.3)


def _freeze(rig: ArmRig) -> None:
    rig.signal("executor", signal.SIGSTOP)
    rig.spin(1.0)
    rig.signal("executor", signal.SIGCONT)


def _push(rig: ArmRig) -> None:
    """Until it gives way: whoever leans on an arm steps back when it stops."""
    rig.switch(PUSH_SERVICE, on=True)
    with contextlib.suppress(TimeoutError):
        rig.until(lambda: rig.is_in(FAULT), 0.5, "a reflex")
    rig.switch(PUSH_SERVICE, on=False)


def _grip_in_vain(rig: ArmRig) -> None:
    rig.switch(REFUSE_SERVICE, on=True)
    rig.do("grip 0.0")


def _free_hand(rig: ArmRig) -> None:
    rig.switch(REFUSE_SERVICE, on=False)
    rig.do("grip 0.08")


def _second_publisher(rig: ArmRig) -> None:
    topic = topics.ACTION_CHUNK
    rig.intruder = rig.node.create_publisher(topic.type, topic.name, topic.quality)


def _one_publisher(rig: ArmRig) -> None:
    rig.node.destroy_publisher(rig.intruder)
    rig.spin(1.0)


def _press(on: bool) -> Act:
    return lambda rig: rig.switch(topics.ESTOP_SERVICE, on)


FAULTS: tuple[Fault, ...] = (
    Fault("policy stalled for 0.1 s", _does("stall 0.1"), (TRACKING,), (ReasonCode.NONE,), 1.0, goes_on=True),
    Fault("policy stalled for 1 s", _does("stall 1.0"), (HOLDING,), (ReasonCode.CHUNK_TIMEOUT,), 1.5, in_ci=True),
    Fault("policy stalled for 5 s", _does("stall 5.0"), (HOLDING,), (ReasonCode.POLICY_SILENT,), 2.5),
    Fault(
        "policy killed (-9)",
        lambda rig: rig.kill("stand_in_policy"),
        (HOLDING,),
        (ReasonCode.POLICY_SILENT,),
        2.5,
        _restart("stand_in_policy"),
        in_ci=True,
    ),
    Fault("1,000 chunks a second", _does("flood"), (HOLDING,), (ReasonCode.CHUNK_FLOOD,), 1.5),
    _soft("stale chunks", "stale", ReasonCode.STALE_CHUNK),
    _soft("chunks from a clock 2 s ahead", "skewed", ReasonCode.FUTURE_CHUNK),
    _soft("jumping chunks", "jumping", ReasonCode.START_GAP, ReasonCode.WORKSPACE),
    _soft("chunks that are not numbers", "nan", ReasonCode.MALFORMED, in_ci=True),
    _soft("empty chunks", "empty", ReasonCode.MALFORMED),
    _soft("chunks of 2,000 steps", "huge", ReasonCode.BAD_HORIZON),
    Fault("reordered chunks", _does("reordered"), (TRACKING,), (ReasonCode.OUT_OF_ORDER,), 2.0, goes_on=True),
    Fault("duplicated chunks", _does("duplicated"), (TRACKING,), (ReasonCode.DUPLICATE_CHUNK,), 2.0, goes_on=True),
    Fault(
        "a second node publishes chunks",
        _second_publisher,
        (HOLDING,),
        (ReasonCode.SECOND_PUBLISHER,),
        1.5,
        _one_publisher,
        in_ci=True,
    ),
    Fault("emergency stop", _press(True), (FAULT,), (ReasonCode.EMERGENCY_STOP,), 1.0, _press(False), in_ci=True),
    Fault(
        "emergency stop by topic",
        _press_remote(on=True),
        (FAULT,),
        (ReasonCode.EMERGENCY_STOP,),
        1.0,
        _release_remote,
    ),
    Fault(
        "the executor is interrupted (SIGINT)",
        lambda rig: rig.signal("executor", signal.SIGINT),
        (HOLDING,),
        (ReasonCode.SHUTDOWN,),
        1.0,
        _start_over,
    ),
    Fault("the hand refuses to grip", _grip_in_vain, (HOLDING,), (ReasonCode.GRIPPER_FAILED,), 2.5, _free_hand),
    Fault("the arm is pushed into a reflex", _push, (FAULT,), (ReasonCode.ROBOT_FAULT,), 1.5, in_ci=True),
    Fault(
        "the executor stands still for 1 s (SIGSTOP)",
        _freeze,
        # Who notices first: the loop that wakes up, or the arm that was told nothing.
        (HOLDING, FAULT),
        (ReasonCode.CONTROL_STALLED, ReasonCode.ROBOT_FAULT, ReasonCode.JOINT_STATES_SILENT),
        2.5,
    ),
    Fault(
        "control box dies and comes back",
        lambda rig: rig.kill("protocol_arm"),
        (FAULT,),
        (ReasonCode.ROBOT_FAULT,),
        2.0,
        _restart("protocol_arm"),
        in_ci=True,
        takes_the_world=True,
    ),
)

# With a camera at the shipped 10 Hz and the perception before the arm.
CAMERA_FAULTS: tuple[Fault, ...] = (
    _camera("the camera stops", "stop", in_ci=True),
    _camera("its picture stands still under new stamps", "freeze", in_ci=True),
    _camera("its pictures change their size", "resize", in_ci=True),
    _camera("its pictures are cut short", "corrupt", in_ci=True),
    _camera("its pictures are black", "black"),
    _camera("it measures no depth", "blind"),
    _camera("its pictures are a second old", "late"),
    Fault(
        "perception killed (-9)",
        lambda rig: rig.kill("perception"),
        (HOLDING,),
        (ReasonCode.STREAM_SILENT,),
        CAMERA_BOUND_S,
        _restart("perception"),
    ),
)
