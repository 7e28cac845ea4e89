"""Draws numbered keypoints into a picture, for people and for vision-language models."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.types import CameraFrame, Keypoints

_INK, _PAPER, _STALE = (255, 255, 255), (20, 20, 20), (150, 150, 150)


def draw_overlay(frame: CameraFrame, keypoints: Keypoints) -> NDArray[np.uint8]:
    """(H, W, 3) RGB copy of the frame with number and name at each keypoint; remembered ones are hollow and grey."""
    picture = np.ascontiguousarray(frame.color.copy())
    camera_from_base = np.linalg.inv(frame.base_from_camera)
    for number, point in enumerate(keypoints.points, start=1):
        in_camera = camera_from_base[:3, :3] @ point.position + camera_from_base[:3, 3]
        if in_camera[2] <= 0.0:
            continue
        u, v, _ = frame.intrinsics @ (in_camera / in_camera[2])
        if not (0 <= u < picture.shape[1] and 0 <= v < picture.shape[0]):
            continue
        centre = (round(float(u)), round(float(v)))
        ink = _INK if point.visible else _STALE
        cv2.circle(picture, centre, 3, ink, cv2.FILLED if point.visible else 1, cv2.LINE_AA)
        label = f"{number} {point.name}"
        # A shadow of the same weight: letters of another weight have another width.
        for offset, colour in ((1, _PAPER), (0, ink)):
            place = (centre[0] + 5 + offset, centre[1] - 4 + offset)
            cv2.putText(picture, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, 1, cv2.LINE_AA)
    return picture
