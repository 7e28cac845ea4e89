"""Builds the MuJoCo model: FR3 with hand, table, every graspable, plate, obstacle, two cameras.

One model serves every layout: absent things are parked out of reach and out of sight.
"""

from __future__ import annotations

import mujoco
import numpy as np

from vls_steering.robots.assets import ARM_JOINT_NAMES, FINGER_JOINT_NAMES, HAND_BODY, fr3_spec
from vls_steering.sim.objects import (
    LOOSE,
    OBSTACLE,
    OBSTACLE_RGBA,
    PLATE,
    PLATE_HEIGHT_M,
    PLATE_RADIUS_M,
    PLATE_RGBA,
    SUPPORT,
    SUPPORT_RGBA,
    TABLE_RGBA,
    Graspable,
)

PHYSICS_STEP_S = 0.002
# Friction grasps hold only with stiff contacts (solref), four-dimensional friction and elliptic cones; measured in
# test/sim/test_grasps.py.
GRASP_SOLREF = (0.005, 1.0)
# MuJoCo takes the larger friction of two geoms: rubber fingertips grip, while objects slide on the table as wood does.
# Objects as sticky as the fingers lock under a hand that pushes them.
FINGER_FRICTION = (1.5, 0.01, 0.0001)
OBJECT_FRICTION = (0.5, 0.01, 0.0001)
GRIP_FORCE_N = 30.0
FRONT_CAMERA, WRIST_CAMERA = "front", "wrist"
PARKED_X_M = 6.0
TABLE_HALF_SIZE_M = (0.60, 0.75, 0.02)
TABLE_CENTRE_X_M = 0.45
GRIPPER_ACTUATOR = "hand"


def body_name(thing: str) -> str:
    """MuJoCo body name of a thing in the scene."""
    return thing.replace(" ", "_")


def build_model() -> mujoco.MjModel:
    """Compile the whole scene; takes about a second, so build once and reset."""
    spec = fr3_spec()
    _tune_solver(spec)
    _compensate_gravity(spec)
    _tune_hand(spec)
    _add_table(spec)
    for index, item in enumerate(LOOSE.values()):
        _add_graspable(spec, item, index)
    _add_plate(spec)
    _add_box(spec, OBSTACLE, OBSTACLE_RGBA, -2.0)
    _add_box(spec, SUPPORT, SUPPORT_RGBA, -3.0)
    _add_cameras(spec)
    spec.visual.quality.shadowsize = 0
    spec.visual.quality.offsamples = 0
    spec.visual.map.znear = 0.01
    spec.visual.map.zfar = 5.0
    spec.stat.extent = 1.0
    spec.visual.headlight.ambient = [0.45, 0.45, 0.45]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    return spec.compile()


def _tune_solver(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = PHYSICS_STEP_S
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def _compensate_gravity(spec: mujoco.MjSpec) -> None:
    """The real controller compensates gravity on the arm; objects must still fall."""
    for body in spec.bodies:
        if body.name.startswith("fr3_link") or body.name in (HAND_BODY, "left_finger", "right_finger"):
            body.gravcomp = 1.0


def _tune_hand(spec: mujoco.MjSpec) -> None:
    for name in FINGER_JOINT_NAMES:
        joint = spec.joint(name)
        joint.frictionloss = 0.0
        joint.damping = [10.0, 0.0, 0.0]
        joint.armature = 0.1
    for finger in ("left_finger", "right_finger"):
        for geom in spec.body(finger).geoms:
            if geom.contype:
                geom.friction = FINGER_FRICTION
                geom.condim = 4
                geom.solref = GRASP_SOLREF
    hand = spec.actuator(GRIPPER_ACTUATOR)
    # The tendon is the mean of the finger positions (0 .. 0.04 m) and pulls each finger with half its force.
    stiffness, damping = 4000.0, 120.0
    hand.inheritrange = 0.0
    hand.ctrllimited = True
    hand.ctrlrange = [0.0, 0.04]
    hand.forcelimited = True
    hand.forcerange = [-2 * GRIP_FORCE_N, 2 * GRIP_FORCE_N]
    hand.gainprm[:3] = [stiffness, 0.0, 0.0]
    hand.biasprm[:3] = [0.0, -stiffness, -damping]


def _add_table(spec: mujoco.MjSpec) -> None:
    x, y, z = TABLE_HALF_SIZE_M
    spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=[x, y, z], pos=[TABLE_CENTRE_X_M, 0, -z], rgba=TABLE_RGBA,
        friction=OBJECT_FRICTION,
    )  # fmt: skip
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[10, 10, 0.1], pos=[0, 0, -0.75], rgba=[0.3, 0.3, 0.33, 1]
    )
    spec.worldbody.add_light(pos=[0.4, 0.6, 1.8], dir=[0, -0.3, -1], diffuse=[0.4, 0.4, 0.4], specular=[0, 0, 0])


def _add_graspable(spec: mujoco.MjSpec, item: Graspable, index: int) -> None:
    body = spec.worldbody.add_body(name=item.body, pos=[PARKED_X_M, 0.5 * index, -0.6])
    body.add_freejoint(name=item.body)
    body.add_geom(
        name=item.body,
        type=item.shape,
        size=item.half_size_m,
        rgba=item.rgba,
        mass=item.mass_kg,
        friction=OBJECT_FRICTION,
        condim=4,
        solref=GRASP_SOLREF,
    )


def _add_plate(spec: mujoco.MjSpec) -> None:
    """A shallow disc with a rim of capsules; `mocap` so that a layout can move it without recompiling."""
    body = spec.worldbody.add_body(name=body_name(PLATE), mocap=True, pos=[PARKED_X_M, -1, 0])
    half = PLATE_HEIGHT_M / 2
    body.add_geom(
        name=body_name(PLATE),
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[PLATE_RADIUS_M, half, 0],
        pos=[0, 0, half],
        rgba=PLATE_RGBA,
        friction=OBJECT_FRICTION,
    )


def _add_box(spec: mujoco.MjSpec, name: str, rgba: tuple[float, float, float, float], parked_y_m: float) -> None:
    """A fixed box whose place and size a layout sets without recompiling."""
    body = spec.worldbody.add_body(name=body_name(name), mocap=True, pos=[PARKED_X_M, parked_y_m, 0])
    body.add_geom(
        name=body_name(name),
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.025, 0.025, 0.10],
        rgba=rgba,
        friction=OBJECT_FRICTION,
    )


def _add_cameras(spec: mujoco.MjSpec) -> None:
    eye, target = np.array([1.02, 0.0, 0.72]), np.array([0.46, 0.0, 0.03])
    spec.worldbody.add_camera(name=FRONT_CAMERA, pos=eye, quat=_look_at(eye, target), fovy=44.0)
    # Beside the hand, looking along its approach axis: MuJoCo cameras look along -z, the hand approaches along +z.
    spec.body(HAND_BODY).add_camera(name=WRIST_CAMERA, pos=[0.07, 0.0, 0.02], quat=[0, 1, 0, 0], fovy=68.0)


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(w, x, y, z) of a MuJoCo camera (looks along -z, y up) at `eye` that faces `target`."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    return quat


def arm_joint_addresses(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the seven arm joints in qpos and qvel."""
    joints = [model.joint(name) for name in ARM_JOINT_NAMES]
    return np.array([j.qposadr[0] for j in joints]), np.array([j.dofadr[0] for j in joints])
