"""The plane that objects stand on: RANSAC near the horizontal, then least squares on the supporters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.errors import StreamFault
from vls_steering.perception.lift import LiftedFrame, PointImage
from vls_steering.perception.settings import PlaneSettings, WorkspaceSettings


@dataclass(frozen=True)
class SupportPlane:
    """z = offset + slope_x * x + slope_y * y in the base frame."""

    offset_m: float
    slope_x: float = 0.0
    slope_y: float = 0.0

    def height_of(self, points: PointImage) -> PointImage:
        """(..., 3) m -> (...) m above the plane, along the base frame's z."""
        level = self.offset_m + self.slope_x * points[..., 0] + self.slope_y * points[..., 1]
        height: PointImage = (points[..., 2] - level).astype(np.float32)
        return height

    def z_at(self, x: float, y: float) -> float:
        """Height of the plane itself in the base frame."""
        return self.offset_m + self.slope_x * x + self.slope_y * y


def find_support_plane(
    view: LiftedFrame,
    settings: PlaneSettings,
    workspace: WorkspaceSettings,
    rng: np.random.Generator,
    prior: SupportPlane | None = None,
) -> SupportPlane:
    """The dominant near-horizontal plane of the picture.

    With a `prior`, a plane that contradicts it loses: pressed close to a plate, the wrist camera sees no table.
    Raises StreamFault when the picture shows no plane and there is no prior.
    """
    found = _search(_workspace_points(view, settings, workspace), settings, rng)
    if prior is None:
        if found is None:
            raise StreamFault(
                f"camera {view.frame.camera!r} shows no table", "Check the depth image and the camera's extrinsics"
            )
        return found
    x, y = 0.5 * (workspace.x_min_m + workspace.x_max_m), 0.5 * (workspace.y_min_m + workspace.y_max_m)
    if found is None or abs(found.z_at(x, y) - prior.z_at(x, y)) > settings.drift_max_m:
        return prior
    return found


def _workspace_points(view: LiftedFrame, settings: PlaneSettings, workspace: WorkspaceSettings) -> PointImage:
    points = view.points[::3, ::3][view.valid[::3, ::3]]
    inside = (
        (points[:, 0] > workspace.x_min_m)
        & (points[:, 0] < workspace.x_max_m)
        & (points[:, 1] > workspace.y_min_m)
        & (points[:, 1] < workspace.y_max_m)
        & (points[:, 2] > settings.height_min_m)
        & (points[:, 2] < settings.height_max_m)
    )
    kept: PointImage = points[inside]
    return kept


def _search(points: PointImage, settings: PlaneSettings, rng: np.random.Generator) -> SupportPlane | None:
    if len(points) < 50:
        return None
    voters = points[rng.integers(0, len(points), settings.samples)]
    corners = points[rng.integers(0, len(points), (settings.hypotheses, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    level = np.abs(normals[:, 2]) > np.cos(settings.tilt_max_rad) * np.linalg.norm(normals, axis=1) + 1e-12
    if not level.any():
        return None
    normals = normals[level] / normals[level][:, 2:]
    offsets = np.einsum("ij,ij->i", normals, corners[level][:, 0])
    votes = (np.abs(voters @ normals.T - offsets) < settings.inlier_m).sum(axis=0)
    best = int(votes.argmax())
    plane = SupportPlane(float(offsets[best]), -float(normals[best, 0]), -float(normals[best, 1]))
    for band_m in (settings.inlier_m, 0.5 * settings.inlier_m):
        support = points[np.abs(plane.height_of(points)) < band_m].astype(np.float64)
        if len(support) < max(30, 0.5 * settings.share_min * len(points)):
            return None
        plane = _least_squares(support)
    share = float((np.abs(plane.height_of(points)) < settings.inlier_m).mean())
    return plane if share >= settings.share_min else None


def _least_squares(support: np.ndarray) -> SupportPlane:
    design = np.column_stack([np.ones(len(support)), support[:, :2]])
    offset, slope_x, slope_y = np.linalg.lstsq(design, support[:, 2], rcond=None)[0]
    return SupportPlane(float(offset), float(slope_x), float(slope_y))
