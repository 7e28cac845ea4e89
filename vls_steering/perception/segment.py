"""The segmenter that needs no weights: what stands above the support plane, split by colour, named by proportions."""

from __future__ import annotations

import cv2
import numpy as np

from vls_steering.perception.colour import (
    ACHROMATIC,
    COLOURS,
    ColourImage,
    classify_colours,
    colour_index,
    is_chromatic,
)
from vls_steering.perception.detection import Detection
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.measure import OUTSIDE, Component, measure_component
from vls_steering.perception.plane import SupportPlane
from vls_steering.perception.settings import SegmentSettings, WorkspaceSettings

_KERNEL = np.ones((3, 3), np.uint8)


class GeometricSegmenter:
    """Support-plane removal, connected components per colour, proportions."""

    def __init__(self, settings: SegmentSettings, workspace: WorkspaceSettings) -> None:
        self._settings = settings
        self._workspace = workspace

    def segment(self, view: LiftedFrame, plane: SupportPlane, robot: MaskImage) -> tuple[Detection, ...]:
        classes = classify_colours(view.frame.color)
        height = plane.height_of(view.points)
        foreground = self._foreground(view, height, classes) & ~robot
        present = np.bincount(classes[foreground], minlength=len(COLOURS))
        detections = []
        for colour in COLOURS:
            if not present[colour_index(colour)]:
                continue
            mask = foreground & (classes == colour_index(colour))
            if colour in ACHROMATIC:
                mask = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, _KERNEL).view(bool)
            for component in self._components(mask, colour):
                detection = measure_component(view, plane, component, colour, self._settings)
                if detection is not None:
                    detections.append(detection)
        return tuple(detections)

    def _foreground(self, view: LiftedFrame, height: PointImage, classes: ColourImage) -> MaskImage:
        box, points = self._workspace, view.points
        above = (
            view.valid
            & (height > self._settings.clearance_m)
            & (height < box.height_m)
            & (points[..., 0] > box.x_min_m)
            & (points[..., 0] < box.x_max_m)
            & (points[..., 1] > box.y_min_m)
            & (points[..., 1] < box.y_max_m)
        )
        # Depth cameras lose pixels at edges; colour keeps them, next to a pixel that has depth.
        nearby = cv2.dilate(above.astype(np.uint8), _KERNEL).astype(bool)
        foreground: MaskImage = above | (nearby & ~view.valid & is_chromatic(classes))
        return foreground

    def _components(self, mask: MaskImage, colour: str) -> list[Component]:
        least = self._settings.grey_pixels_min if colour in ACHROMATIC else self._settings.pixels_min
        left, top, wide, tall = cv2.boundingRect(mask.view(np.uint8))
        if wide * tall < least:
            return []
        # Labelling only where the colour occurs saves most of the time of a picture.
        part = np.ascontiguousarray(mask[top : top + tall, left : left + wide])
        count, labels, stats, _ = cv2.connectedComponentsWithStats(part.view(np.uint8), connectivity=8)
        components = []
        for label in range(1, count):
            x, y, width, height, area = stats[label]
            if area < least:
                continue
            u, v = left + x, top + y
            rows = slice(max(0, v - OUTSIDE), min(mask.shape[0], v + height + OUTSIDE))
            columns = slice(max(0, u - OUTSIDE), min(mask.shape[1], u + width + OUTSIDE))
            own = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
            inner = own[v - rows.start :, u - columns.start :][:height, :width]
            inner[:] = labels[y : y + height, x : x + width] == label
            components.append(Component(rows, columns, own))
        return components
