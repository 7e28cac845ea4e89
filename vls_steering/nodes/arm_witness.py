"""What really became of the arm in a bench: its speed as the world measures it, and every set-point for the oracle.

The world tells its state whatever becomes of the executor, whose word is not asked for.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from std_msgs.msg import Float64MultiArray

from vls_steering.bench.faults import AT_REST_RAD_S, NOT_MEASURED, judged
from vls_steering.core.arrays import FloatArray
from vls_steering.msg import SetPoint
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import FR3_LIMITS, ExecutorSettings, Violation
from vls_steering.sim.model import arm_joint_addresses
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World

LOOKS = 3  # measurements that have to agree
ROOM = 1000  # set-points that may wait while this process is elsewhere


class ArmWitness:
    """Listens from its making on; `begin` forgets what was heard."""

    def __init__(self, node: Any) -> None:
        model = World(draw_layout("play", 0)).model
        self._velocities = 1 + model.nq + arm_joint_addresses(model)[1]  # mjSTATE_INTEGRATION: time, qpos, qvel
        self._speeds: deque[float] = deque(maxlen=LOOKS)
        self._stamps_s, self._positions = list[float](), list[FloatArray]()
        self._kinematics = ArmKinematics()
        node.create_subscription(Float64MultiArray, topics.SIM_STATE.name, self._measured, topics.SIM_STATE.quality)
        node.create_subscription(SetPoint, topics.SET_POINT.name, self._sent, ROOM)

    def begin(self) -> None:
        self._stamps_s, self._positions = [], []
        self.look_again()

    def look_again(self) -> None:
        """Only what is measured from now on counts."""
        self._speeds.clear()

    @property
    def rests(self) -> bool:
        return len(self._speeds) == LOOKS and max(self._speeds) < AT_REST_RAD_S

    @property
    def speed_rad_s(self) -> float:
        """Of the fastest joint lately; -1 when nothing was heard of the world."""
        return max(self._speeds, default=NOT_MEASURED)

    @property
    def set_points(self) -> int:
        return len(self._positions)

    def violations(self) -> tuple[Violation, ...]:
        """In what was sent since `begin`."""
        period_s = ExecutorSettings().control_period_s
        return judged(self._stamps_s, self._positions, period_s, FR3_LIMITS, self._kinematics.tcp_pose)

    def _measured(self, message: Float64MultiArray) -> None:
        self._speeds.append(float(np.abs(np.array(message.data)[self._velocities]).max()))

    def _sent(self, message: SetPoint) -> None:
        self._stamps_s.append(stamp_seconds(message.header.stamp))
        self._positions.append(np.array(message.joint_positions))
