"""Pictures of recorded states for people: any viewpoint, antialiased, with the projection to draw on top of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.sim.model import WRIST_CAMERA
from vls_steering.sim.world import World

SUPERSAMPLING = 1.5  # software rendering is bound by the arm's vertices: more pixels are nearly free
MAIN_SIZE, WRIST_SIZE = (960, 720), (288, 216)  # width, height
SKY_TOP, SKY_BOTTOM = np.array([24, 28, 36], np.float32), np.array([74, 82, 96], np.float32)  # RGB
NEAR_SKY_M, FAR_SKY_M = 1.6, 4.9  # the floor fades into it; nothing beyond is worth seeing


@dataclass(frozen=True)
class View:
    """Pixels, and what is needed to draw into them."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    depth_m: np.ndarray  # (H, W) along the optical axis
    projection: FloatArray  # (3, 4) base frame, m -> homogeneous pixels

    def project(self, points: FloatArray) -> tuple[FloatArray, np.ndarray]:
        """(N, 3) m -> pixels (N, 2), and whether nothing stands before each point (N,)."""
        homogeneous = np.c_[points, np.ones(len(points))] @ self.projection.T
        distance = np.maximum(homogeneous[:, 2], 1e-3)
        pixels = homogeneous[:, :2] / distance[:, None]
        height, width = self.depth_m.shape
        column = np.clip(np.rint(pixels[:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(pixels[:, 1]).astype(int), 0, height - 1)
        return pixels, distance < self.depth_m[row, column] + 0.01


class Studio:
    """Renders states of one world's model; owns an OpenGL context, so use it in one thread and close it."""

    def __init__(self, world: World) -> None:
        self._model, self._data = world.model, mujoco.MjData(world.model)
        self._size = (round(SUPERSAMPLING * MAIN_SIZE[0]), round(SUPERSAMPLING * MAIN_SIZE[1]))
        # The buffer's size is read from the model when the context is made.
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = self._size
        self._gl = mujoco.GLContext(*self._size)
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(self._model, maxgeom=500)
        self._options = mujoco.MjvOption()
        self._overview = _overview()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._context.free()
        self._gl.free()

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, state: FloatArray) -> None:
        """Put the scene into `state`; the layout's sizes are those of the world's last reset."""
        mujoco.mj_setState(self._model, self._data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def overview(self) -> View:
        """The table from the front left, (720, 960)."""
        pixels, buffer = self._render(self._overview, self._size)
        extent = self._model.stat.extent
        near, far = self._model.vis.map.znear * extent, self._model.vis.map.zfar * extent
        depth = near * far / (near + buffer * (far - near))
        return View(
            pixels=_with_sky(cv2.resize(pixels, MAIN_SIZE, interpolation=cv2.INTER_AREA), depth),
            depth_m=cv2.resize(depth, MAIN_SIZE, interpolation=cv2.INTER_NEAREST),
            projection=self._projection(),
        )

    def wrist(self) -> np.ndarray:
        """What the hand's camera sees, (216, 288, 3)."""
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(WRIST_CAMERA).id
        size = (2 * WRIST_SIZE[0], 2 * WRIST_SIZE[1])
        return cv2.resize(self._render(view, size)[0], WRIST_SIZE, interpolation=cv2.INTER_AREA)

    def _render(self, camera: mujoco.MjvCamera, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self._model, self._data, self._options, None, camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        viewport = mujoco.MjrRect(0, 0, *size)
        mujoco.mjr_render(viewport, self._scene, self._context)
        pixels = np.empty((size[1], size[0], 3), np.uint8)
        buffer = np.empty((size[1], size[0]), np.float32)
        mujoco.mjr_readPixels(pixels, buffer, viewport, self._context)
        return np.ascontiguousarray(pixels[::-1]), np.ascontiguousarray(buffer[::-1])

    def _projection(self) -> FloatArray:
        """Of the camera that the scene was last drawn from: between the two eyes that MuJoCo gives it."""
        eye = self._scene.camera[0]
        place = (np.array(eye.pos) + np.array(self._scene.camera[1].pos)) / 2
        forward, up = np.array(eye.forward), np.array(eye.up)
        rotation = np.stack([np.cross(forward, up), -up, forward])
        focal = 0.5 * MAIN_SIZE[1] * eye.frustum_near / eye.frustum_top
        intrinsics = np.array([[focal, 0, (MAIN_SIZE[0] - 1) / 2], [0, focal, (MAIN_SIZE[1] - 1) / 2], [0, 0, 1]])
        return intrinsics @ np.c_[rotation, -rotation @ place]


def _overview() -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    camera.lookat[:] = [0.42, 0.01, 0.19]
    camera.distance, camera.azimuth, camera.elevation = 1.22, 152.0, -26.0
    return camera


def _with_sky(pixels: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """(H, W, 3) with a calm gradient where nothing is, fading in over the far floor; depth in any resolution."""
    height, width = pixels.shape[:2]
    far = np.clip((depth_m - NEAR_SKY_M) / (FAR_SKY_M - NEAR_SKY_M), 0.0, 1.0)
    weight = cv2.resize(far, (width, height), interpolation=cv2.INTER_AREA)[..., None]
    share = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None] ** 0.7
    sky = SKY_TOP + share * (SKY_BOTTOM - SKY_TOP)
    blended: np.ndarray = (pixels + weight * (sky - pixels)).astype(np.uint8)
    return blended
