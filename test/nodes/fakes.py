"""Stand-ins for the rooms' nodes: real lifecycle nodes on real topics, with a few lines for a mind."""

from __future__ import annotations

from std_msgs.msg import String
from std_srvs.srv import SetBool

from vls_steering.core.config import Settings
from vls_steering.core.errors import VlsError
from vls_steering.msg import RewardProgram, SafetyStatus, SteeringStatus, VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import header
from vls_steering.safety import ReasonCode


class NoSettings(Settings):
    pass


class FakeVlm:
    """Accepts every instruction but "nonsense"; an empty one withdraws the program."""

    def __init__(self, node: RoomNode, settings: NoSettings) -> None:
        self.node = node
        self.status = node.publisher(topics.VLM_STATUS)
        self.program = node.publisher(topics.REWARD_PROGRAM)

    def start(self) -> None:
        self.node.subscribe(topics.INSTRUCTION, self.instructed)

    def instructed(self, message: String) -> None:
        stamp = header(self.node.now_s())
        sha = "ab" * 32 if message.data else ""
        if message.data == "nonsense":
            self.status.publish(
                VlmStatus(
                    header=stamp, state=VlmStatus.STATE_REFUSED, instruction=message.data, message="not understood"
                )
            )
            return
        self.program.publish(RewardProgram(header=stamp, instruction=message.data, sha256=sha))
        state = VlmStatus.STATE_ACCEPTED if message.data else VlmStatus.STATE_IDLE
        self.status.publish(VlmStatus(header=stamp, state=state, instruction=message.data, program_sha256=sha))

    def stop(self) -> None: ...

    def tear_down(self) -> None: ...


class FakePolicy:
    """Finishes any program in `ticks` steps, except one for "forever"."""

    ticks = 5

    def __init__(self, node: RoomNode, settings: NoSettings) -> None:
        self.node = node
        self.status = node.publisher(topics.STEERING_STATUS)
        self.program = RewardProgram()
        self.done = 0

    def start(self) -> None:
        self.node.subscribe(topics.REWARD_PROGRAM, self.take)
        self.node.every_monotonic(0.05, self.tick)

    def take(self, program: RewardProgram) -> None:
        self.program, self.done = program, 0

    def tick(self) -> None:
        if not self.program.sha256:
            return
        if self.program.instruction != "forever":
            self.done += 1
        self.status.publish(
            SteeringStatus(
                header=header(self.node.now_s()),
                program_sha256=self.program.sha256,
                stages=2,
                stage_name="reach",
                progress=min(1.0, self.done / self.ticks),
                finished=self.done >= self.ticks,
            )
        )

    def stop(self) -> None: ...

    def tear_down(self) -> None: ...


class FakeExecutor:
    """Tells its state, can be armed and held, and latches when told to."""

    def __init__(self, node: RoomNode, settings: NoSettings) -> None:
        self.node = node
        self.status = node.publisher(topics.SAFETY_STATUS)
        self.state, self.reason, self.latched = SafetyStatus.STATE_UNARMED, 0, False
        self.calls: list[str] = []

    def start(self) -> None:
        service = self.node.create_service(SetBool, topics.ESTOP_SERVICE, self.emergency)
        self.node.own(lambda: self.node.destroy_service(service))
        self.node.serve_trigger(topics.ARM_SERVICE, self.arm)
        self.node.serve_trigger(topics.HOLD_SERVICE, self.hold)
        self.node.serve_trigger(topics.END_TASK_SERVICE, self.end_task)
        self.node.every_monotonic(0.05, self.tell)

    def arm(self) -> str:
        self.calls.append("arm")
        if self.latched:
            raise VlsError("EMERGENCY_STOP: released first, then arm")
        self.state = SafetyStatus.STATE_READY
        return "armed"

    def hold(self) -> str:
        self.calls.append("hold")
        return "holding"

    def end_task(self) -> str:
        self.calls.append("end task")
        return "stopping"

    def latch(self, reason: int) -> None:
        self.state, self.reason, self.latched = SafetyStatus.STATE_HOLDING, reason, True

    def emergency(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.state = SafetyStatus.STATE_HOLDING if request.data else SafetyStatus.STATE_UNARMED
        self.reason, self.latched = int(ReasonCode.EMERGENCY_STOP if request.data else ReasonCode.NONE), request.data
        response.success, response.message = True, "engaged" if request.data else "released"
        return response

    def tell(self) -> None:
        self.status.publish(
            SafetyStatus(
                header=header(self.node.now_s()),
                state=self.state,
                reason_code=self.reason,
                reason="because",
                latched=self.latched,
            )
        )

    def stop(self) -> None: ...

    def tear_down(self) -> None: ...


FAKES = (
    NodeDefinition("executor", NoSettings, FakeExecutor),
    NodeDefinition("vlm", NoSettings, FakeVlm),
    NodeDefinition("policy", NoSettings, FakePolicy),
)
