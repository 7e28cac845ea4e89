"""What steering and perception think, as RViz markers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from vls_steering.core.types import Keypoints
from vls_steering.nodes.conversions import header

if TYPE_CHECKING:  # the perception node draws too, and needs no torch
    from vls_steering.steering import TickResult

LIFETIME = Duration(sec=1)  # what is not drawn again disappears
THIN_M, THICK_M = 0.002, 0.008
CHOSEN = ColorRGBA(r=0.1, g=1.0, b=1.0, a=1.0)
RULED_OUT = ColorRGBA(r=0.4, g=0.4, b=0.4, a=0.5)
KEEP_OUT = ColorRGBA(r=1.0, g=0.2, b=0.1, a=0.35)
VISIBLE, REMEMBERED = ColorRGBA(r=1.0, g=1.0, b=1.0, a=0.9), ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.5)


def keypoint_markers(keypoints: Keypoints, keep_outs: frozenset[str] = frozenset()) -> MarkerArray:
    """A box of its size and a name for every object; those that must not be touched in red.

    Around an object that is only remembered, an ellipsoid of two standard deviations says where it may be.
    """
    markers = []
    for number, point in enumerate(keypoints.points):
        box = _marker(keypoints.stamp_s, "keypoints", number, Marker.CUBE)
        box.pose.position = _point(point.position)
        box.scale = Vector3(x=float(point.size[0]), y=float(point.size[1]), z=float(point.size[2]))
        box.color = KEEP_OUT if point.name in keep_outs else VISIBLE if point.visible else REMEMBERED
        text = _marker(keypoints.stamp_s, "names", number, Marker.TEXT_VIEW_FACING)
        text.pose.position = _point(point.position + [0.0, 0.0, point.size[2] / 2 + 0.03])
        text.scale.z, text.text, text.color = 0.025, point.name, VISIBLE
        markers += [box, text]
        if not point.visible:
            cloud = _marker(keypoints.stamp_s, "deviations", number, Marker.SPHERE)
            cloud.pose.position, cloud.color = box.pose.position, REMEMBERED
            cloud.scale = Vector3(**dict(zip("xyz", (4.0 * point.sigma_m).tolist(), strict=True)))
            markers.append(cloud)
    return MarkerArray(markers=markers)


def steering_markers(result: TickResult, keypoints: Keypoints, keep_outs: frozenset[str]) -> MarkerArray:
    """Every candidate from red (worst) to green (best), the chosen one thick, and the keypoints."""
    shades = _shades(result.scores)
    markers = []
    for index, path in enumerate(result.candidates):
        line = _marker(result.chunk.stamp_s, "candidates", index, Marker.LINE_STRIP)
        line.points = [_point(position) for position in path]
        line.scale.x = THICK_M if index == result.chosen else THIN_M
        line.color = CHOSEN if index == result.chosen else shades[index]
        markers.append(line)
    array = keypoint_markers(keypoints, keep_outs)
    array.markers = [*markers, *array.markers]
    return array


def _shades(scores: np.ndarray) -> list[ColorRGBA]:
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    shares = (scores - low) / max(high - low, 1e-9)
    return [
        ColorRGBA(r=1.0 - float(share), g=float(share), b=0.1, a=0.8) if math.isfinite(share) else RULED_OUT
        for share in shares
    ]


def _marker(stamp_s: float, group: str, number: int, kind: int) -> Marker:
    marker = Marker(header=header(stamp_s), ns=group, id=number, type=kind, action=Marker.ADD, lifetime=LIFETIME)
    marker.pose = Pose()
    marker.pose.orientation.w = 1.0
    return marker


def _point(position: np.ndarray) -> Point:
    return Point(x=float(position[0]), y=float(position[1]), z=float(position[2]))
