"""Two RGB-D cameras that see the world as a RealSense would: noise, quantised depth, holes at edges."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import BASE_FRAME, CameraFrame
from vls_steering.robots.assets import HAND_BODY
from vls_steering.robots.link_frames import HAND_FRAME
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.model import FRONT_CAMERA, WRIST_CAMERA
from vls_steering.sim.props import Prop, add_prop
from vls_steering.sim.world import World

CAMERAS = (FRONT_CAMERA, WRIST_CAMERA)
# MuJoCo looks along -z with y up; an optical frame looks along +z with y down (REP-103).
_OPTICAL_FROM_MUJOCO = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class PropPixels:
    """How much of a prop a camera sees."""

    name: str
    seen: int
    alone: float  # the same if nothing hid it and the picture had no border

    @property
    def share(self) -> float:
        """Of its silhouette."""
        return min(1.0, self.seen / max(self.alone, 1.0))


@dataclass(frozen=True)
class CameraNoise:
    """Magnitudes after the D435 data sheet and Ahn et al. 2019, for 0.3 .. 1.5 m."""

    color_sigma: float = 4.0  # grey levels
    gain_sigma: float = 0.04  # per channel and layout: white balance and exposure
    depth_sigma_m: float = 0.0008
    depth_sigma_per_m2: float = 0.0015  # grows with the square of the distance
    depth_step_m: float = 0.001
    dropout: float = 0.003  # share of pixels without a return
    edge_dropout: float = 0.5  # the same at depth discontinuities
    edge_m: float = 0.02
    blur_px: float = 0.0  # length of the colour picture's motion blur; its direction is drawn per frame


def camera_mounts(model: mujoco.MjModel) -> dict[str, tuple[str, FloatArray]]:
    """Camera -> what it is fixed to (the base's frame or the hand's), and its optical frame's (4, 4) pose there."""
    mounts = {}
    for name in CAMERAS:
        camera = model.camera(name)
        pose = np.eye(4)
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, camera.quat)
        pose[:3, :3] = rotation.reshape(3, 3) @ _OPTICAL_FROM_MUJOCO
        pose[:3, 3] = camera.pos
        # The world's frame is the base's: the arm stands at its origin.
        on_hand = model.body(camera.bodyid[0]).name == HAND_BODY
        mounts[name] = (HAND_FRAME if on_hand else BASE_FRAME, pose)
    return mounts


class CameraRig:
    """Renders frames of one `World`'s model; owns an OpenGL context, so build and use it in one thread."""

    def __init__(self, world: World, seed: int, width: int = 320, height: int = 240, noise: CameraNoise | None = None):
        self._model = world.model
        self._data = mujoco.MjData(world.model)
        self._noise = noise or CameraNoise()
        self.width, self.height = width, height
        self._gl = mujoco.GLContext(width, height)
        # Registered after MuJoCo's own exit handler, which closes the display: last in, first out.
        atexit.register(self.close)
        self._gl.make_current()
        self._context = mujoco.MjrContext(world.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(world.model, maxgeom=500)
        self._options = mujoco.MjvOption()
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self.reset(world.layout, seed)

    def reset(
        self, layout: SceneLayout, seed: int, props: Sequence[Prop] = (), noise: CameraNoise | None = None
    ) -> None:
        """New noise stream; the lighting gain is drawn once per layout.

        `props` are seen beside the world's bodies; `noise` replaces the rig's from here on.
        """
        self._props = tuple(props)
        self._noise = noise or self._noise
        self._rng = np.random.default_rng([seed, layout.seed, 7])
        self._gain = 1.0 + self._noise.gain_sigma * self._rng.standard_normal(3)

    def close(self) -> None:
        """Free the OpenGL context; the rig cannot render afterwards.  Also done at exit."""
        atexit.unregister(self.close)
        self._context.free()
        self._gl.free()

    def render(self, full_state: FloatArray, camera: str) -> CameraFrame:
        """The noisy frame of `camera` ("front" or "wrist") for a `World.full_state()`."""
        color, depth = self.render_clean(full_state, camera)
        camera_id = self._model.camera(camera).id
        return CameraFrame(
            stamp_s=float(self._data.time),
            camera=camera,
            color=self._noisy_color(color),
            depth=self._noisy_depth(depth),
            intrinsics=self._intrinsics(camera_id),
            base_from_camera=self._base_from_camera(camera_id),
        )

    def render_clean(self, full_state: FloatArray, camera: str) -> tuple[np.ndarray, np.ndarray]:
        """Colour (H, W, 3) uint8 and depth (H, W) float32 m without noise, in one rendering pass."""
        return self.render_view(self._fixed_view(full_state, camera))

    def count_pixels(self, full_state: FloatArray, camera: str) -> tuple[PropPixels, ...]:
        """Per prop, what a camera without noise sees of it: the truth about who hides whom."""
        self._update_scene(self._fixed_view(full_state, camera))
        bodies = self._scene.ngeom - len(self._props)
        seen = np.bincount(self._read_identities().ravel(), minlength=self._scene.ngeom + 1)[bodies + 1 :]
        camera_id = self._model.camera(camera).id
        return tuple(
            PropPixels(prop.name, int(count), self._silhouette(prop, camera_id))
            for prop, count in zip(self._props, seen, strict=True)
        )

    def _silhouette(self, prop: Prop, camera_id: int) -> float:
        """Pixels that a prop would fill if nothing hid it and the picture had no border; 0 behind the camera."""
        pose = self._base_from_camera(camera_id)
        local = (prop.corners - pose[:3, 3]) @ pose[:3, :3]
        if local[:, 2].min() <= 0.0:
            return 0.0
        on_picture = (local @ self._intrinsics(camera_id).T)[:, :2] / local[:, 2:]
        return float(cv2.contourArea(cv2.convexHull(on_picture.astype(np.float32))))

    def _fixed_view(self, full_state: FloatArray, camera: str) -> mujoco.MjvCamera:
        mujoco.mj_setState(self._model, self._data, full_state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(camera).id
        return view

    def render_view(self, view: mujoco.MjvCamera) -> tuple[np.ndarray, np.ndarray]:
        """The current state from any viewpoint."""
        self._update_scene(view)
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        color = np.empty((self.height, self.width, 3), np.uint8)
        buffer = np.empty((self.height, self.width), np.float32)
        mujoco.mjr_readPixels(color, buffer, self._viewport, self._context)
        return np.ascontiguousarray(color[::-1]), self._metric_depth(buffer[::-1])

    def _update_scene(self, view: mujoco.MjvCamera) -> None:
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self._model, self._data, self._options, None, view, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        for prop in self._props:
            add_prop(self._scene, prop)

    def _read_identities(self) -> np.ndarray:
        """(H, W): 1 + index of the body that each pixel shows, 0 for none."""
        flags = (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR)
        for flag in flags:
            self._scene.flags[flag] = 1
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        for flag in flags:
            self._scene.flags[flag] = 0
        code = np.empty((self.height, self.width, 3), np.uint8)
        mujoco.mjr_readPixels(code, None, self._viewport, self._context)
        identities: np.ndarray = code[::-1].astype(np.int64) @ np.array([1, 256, 65536])
        return identities

    def _metric_depth(self, buffer: np.ndarray) -> np.ndarray:
        """Reverse z-buffer (1 near, 0 far) to metres along the optical axis."""
        extent = self._model.stat.extent
        near, far = self._model.vis.map.znear * extent, self._model.vis.map.zfar * extent
        depth: np.ndarray = (near * far / (near + buffer.astype(np.float64) * (far - near))).astype(np.float32)
        return depth

    def _noisy_color(self, color: np.ndarray) -> np.ndarray:
        if self._noise.blur_px > 0.0:
            color = cv2.filter2D(color, -1, _streak(self._noise.blur_px, self._rng.uniform(0.0, np.pi)))
        noise = self._noise.color_sigma * self._rng.standard_normal(color.shape, dtype=np.float32)
        return np.clip(color * self._gain.astype(np.float32) + noise, 0, 255).astype(np.uint8)

    def _noisy_depth(self, depth: np.ndarray) -> np.ndarray:
        noise = self._noise
        sigma = noise.depth_sigma_m + noise.depth_sigma_per_m2 * depth**2
        noisy = depth + sigma * self._rng.standard_normal(depth.shape, dtype=np.float32)
        noisy = np.round(noisy / noise.depth_step_m) * noise.depth_step_m
        spread = cv2.dilate(depth, np.ones((3, 3))) - cv2.erode(depth, np.ones((3, 3)))
        chance = np.where(spread > noise.edge_m, noise.edge_dropout, noise.dropout)
        noisy[self._rng.random(depth.shape, dtype=np.float32) < chance] = 0.0
        return noisy.astype(np.float32)

    def _intrinsics(self, camera_id: int) -> FloatArray:
        focal = 0.5 * self.height / np.tan(0.5 * np.deg2rad(self._model.cam_fovy[camera_id]))
        return np.array([[focal, 0, (self.width - 1) / 2], [0, focal, (self.height - 1) / 2], [0, 0, 1.0]])

    def _base_from_camera(self, camera_id: int) -> FloatArray:
        pose = np.eye(4)
        pose[:3, :3] = self._data.cam_xmat[camera_id].reshape(3, 3) @ _OPTICAL_FROM_MUJOCO
        pose[:3, 3] = self._data.cam_xpos[camera_id]
        return pose


def _streak(length_px: float, angle_rad: float) -> np.ndarray:
    """Kernel of a motion by `length_px` during the exposure; sums to one."""
    side = 2 * int(np.ceil(0.5 * length_px)) + 1
    middle = side // 2
    kernel = np.zeros((side, side), np.float32)
    for along in np.linspace(-0.5 * length_px, 0.5 * length_px, 4 * side):
        kernel[round(middle + along * np.sin(angle_rad)), round(middle + along * np.cos(angle_rad))] += 1.0
    streak: np.ndarray = kernel / kernel.sum()
    return streak
