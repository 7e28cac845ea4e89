"""Self-collision and keep-out distances of the FR3 by MuJoCo's collision pipeline, on a model of their own.

Contacts carry the distance of every pair that is closer than its margin, so that one collision pass answers for all
pairs.  Which parts of the arm are watched: links three or more apart in the chain, and the hand against base, shoulder
and upper arm.  Closer neighbours are held apart by their joint limits, some of them by 10 mm only.
"""

from __future__ import annotations

from itertools import combinations, product

import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.robots.assets import ARM_JOINT_NAMES, FINGER_JOINT_NAMES, HAND_BODY, fr3_spec
from vls_steering.safety.clearance import Closest
from vls_steering.safety.reasons import ReasonCode

LEAST_SEPARATION = 3
LINKS = tuple(f"fr3_link{i}" for i in range(8))
FINGERS = ("left_finger", "right_finger")
HAND = (HAND_BODY, *FINGERS)
WATCHED_BY_HAND = LINKS[:4]
# The base stands on the table and the shoulder turns above it; fingertips work on the table, where the workspace box
# and the tilt keep them.
ABOVE_TABLE = (*LINKS[2:], HAND_BODY)
MOVING = (*LINKS[1:], *HAND)
TABLE = "table"
OPEN_FINGER_M = 0.04
_NOWHERE_M = (0.0, 0.0, -10.0)  # out of every reach
_LEAST_SIZE_M = 1e-3


class ArmClearance:
    """`safety.Clearance` of the FR3 with its hand open.  Not thread-safe: each executor owns one."""

    def __init__(
        self,
        self_clearance_m: float,
        keep_out_clearance_m: float,
        boxes_m: tuple[float, ...] = (),
        objects: tuple[str, ...] = (),
    ) -> None:
        """`boxes_m` holds six numbers a box: lower corner, upper corner, base frame.

        `objects` are boxes that are nowhere until `place` says where.
        """
        spec = fr3_spec()
        solids = _name_solids(spec)
        boxes = [*_add_surroundings(spec, boxes_m), *_add_objects(spec, objects)]
        pairs = [(LINKS[i], LINKS[j]) for i, j in combinations(range(len(LINKS)), 2) if j - i >= LEAST_SEPARATION]
        pairs += product(HAND, WATCHED_BY_HAND)
        for first, second in pairs:
            _watch(spec, solids[first], solids[second], self_clearance_m)
        for part in ABOVE_TABLE:
            _watch(spec, solids[part], [TABLE], keep_out_clearance_m)
        for part in MOVING:
            _watch(spec, solids[part], boxes, keep_out_clearance_m)
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._is_arm = (self._model.body_rootid > 0) & (self._model.body_mocapid < 0)
        self._addresses = np.array([self._model.joint(name).qposadr[0] for name in ARM_JOINT_NAMES])
        for name in FINGER_JOINT_NAMES:
            self._data.qpos[self._model.joint(name).qposadr[0]] = OPEN_FINGER_M

    def place(self, name: str, centre_m: FloatArray, size_m: FloatArray) -> None:
        """The box around the object `name`: centre (3,) m and extents (3,) m along the base frame's axes."""
        model, body = self._model, self._model.body(name)
        self._data.mocap_pos[body.mocapid[0]] = centre_m
        geom, half = int(body.geomadr[0]), np.maximum(size_m, _LEAST_SIZE_M) / 2
        model.geom_size[geom] = half
        # What MuJoCo sorts out pairs by before it looks closely.
        model.geom_rbound[geom] = np.linalg.norm(half)
        model.geom_aabb[geom] = np.r_[0.0, 0.0, 0.0, half]

    def closest(self, joint_positions: FloatArray, /) -> Closest | None:
        data = self._data
        data.qpos[self._addresses] = joint_positions
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_collision(self._model, data)
        if data.ncon == 0:
            return None
        contacts = data.contact
        missing = contacts.includemargin[: data.ncon] - contacts.dist[: data.ncon]
        worst = int(missing.argmax())
        first, second = (self._name(geom) for geom in contacts.geom[worst])
        itself = all(self._is_arm[self._model.geom_bodyid[geom]] for geom in contacts.geom[worst])
        reason = ReasonCode.SELF_COLLISION if itself else ReasonCode.KEEP_OUT
        return Closest(float(missing[worst]), f"{first} and {second}", reason)

    def _name(self, geom: int) -> str:
        body = self._model.geom_bodyid[geom]
        return str(self._model.body(body).name if body else self._model.geom(geom).name)


def _name_solids(spec: mujoco.MjSpec) -> dict[str, list[str]]:
    """Names of the collision shapes of every body; afterwards nothing collides but the pairs that are watched."""
    solids: dict[str, list[str]] = {}
    for body in spec.bodies:
        shapes = [geom for geom in body.geoms if geom.contype]
        for index, geom in enumerate(shapes):
            geom.name = f"{body.name}/{index}"
            geom.contype = geom.conaffinity = 0
        solids[body.name] = [geom.name for geom in shapes]
    return solids


def _add_surroundings(spec: mujoco.MjSpec, boxes_m: tuple[float, ...]) -> list[str]:
    """The table's plane at z = 0, and the keep-out boxes, whose names are returned."""
    inert = {"contype": 0, "conaffinity": 0}
    spec.worldbody.add_geom(name=TABLE, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2.0, 2.0, 0.1], **inert)
    names = []
    for index, corners in enumerate(np.reshape(boxes_m, (-1, 2, 3))):
        names.append(f"keep-out box {index}")
        centre, half = corners.mean(axis=0), np.diff(corners, axis=0)[0] / 2
        spec.worldbody.add_geom(name=names[-1], type=mujoco.mjtGeom.mjGEOM_BOX, pos=centre, size=half, **inert)
    return names


def _add_objects(spec: mujoco.MjSpec, names: tuple[str, ...]) -> list[str]:
    for name in names:
        body = spec.worldbody.add_body(name=name, pos=_NOWHERE_M, mocap=True)
        size = np.full(3, _LEAST_SIZE_M / 2)
        body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, contype=0, conaffinity=0)
    return list(names)


def _watch(spec: mujoco.MjSpec, first: list[str], second: list[str], clearance_m: float) -> None:
    for one, other in product(first, second):
        spec.add_pair(geomname1=one, geomname2=other, margin=clearance_m, gap=0.0)
