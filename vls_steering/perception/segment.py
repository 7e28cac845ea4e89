"""The segmenter that needs no weights: what stands above the support plane, split by colour, named by proportions."""

from __future__ import annotations

import cv2
import numpy as np

from vls_steering.perception.colour import ACHROMATIC, ColourImage, classify_colours, is_chromatic
from vls_steering.perception.detection import Detection
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.measure import measure_component
from vls_steering.perception.plane import SupportPlane
from vls_steering.perception.regions import find_regions
from vls_steering.perception.settings import SegmentSettings, WorkspaceSettings

_KERNEL = np.ones((3, 3), np.uint8)


class GeometricSegmenter:
    """Support-plane removal, regions of one colour, proportions."""

    def __init__(self, settings: SegmentSettings, workspace: WorkspaceSettings) -> None:
        self._settings = settings
        self._workspace = workspace

    def segment(self, view: LiftedFrame, plane: SupportPlane, robot: MaskImage) -> tuple[Detection, ...]:
        # The median takes the speckles, which would tear a surface to pieces, and leaves edges where they are.
        color = cv2.medianBlur(view.frame.color, 3).astype(np.uint8, copy=False)
        classes = classify_colours(color)
        height = _calm_height(view, plane)
        inside = self._inside(view)
        foreground = self._foreground(view, height, inside, classes) & ~robot
        table = inside & ~robot & (np.abs(height) < self._settings.clearance_m)
        detections = []
        least = self._settings.pixels_min
        for region in find_regions(view, color, classes, height, foreground, table, least):
            grey = region.colour in ACHROMATIC
            if grey and np.count_nonzero(region.component.mask) < self._settings.grey_pixels_min:
                continue
            detection = measure_component(view, plane, region.component, region.colour, self._settings)
            if detection is not None:
                detections.append(detection)
        return tuple(detections)

    def _inside(self, view: LiftedFrame) -> MaskImage:
        box, points = self._workspace, view.points
        inside: MaskImage = (
            view.valid
            & (points[..., 0] > box.x_min_m)
            & (points[..., 0] < box.x_max_m)
            & (points[..., 1] > box.y_min_m)
            & (points[..., 1] < box.y_max_m)
        )
        return inside

    def _foreground(self, view: LiftedFrame, height: PointImage, inside: MaskImage, classes: ColourImage) -> MaskImage:
        above = inside & (height > self._settings.clearance_m) & (height < self._workspace.height_m)
        chromatic = is_chromatic(classes)
        # A colourless speck is the table's noise; a colourless thing is wider.
        solid = cv2.morphologyEx((above & ~chromatic).view(np.uint8), cv2.MORPH_OPEN, _KERNEL).view(bool)
        above &= chromatic | solid
        # Depth cameras lose pixels at edges; colour keeps them, next to a pixel that has depth.
        nearby = cv2.dilate(above.view(np.uint8), _KERNEL).view(bool)
        foreground: MaskImage = above | (nearby & ~view.valid & chromatic)
        return foreground


def _calm_height(view: LiftedFrame, plane: SupportPlane) -> PointImage:
    """(H, W) m above the plane, freed of single outliers; edges stay where they are."""
    height = np.where(view.valid, plane.height_of(view.points), np.float32(0.0))
    return cv2.medianBlur(height, 3).astype(np.float32, copy=False)
