"""A contact sheet of test scenes: the picture as perception got it, what it said, and where that was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.bench.perception_static import SceneResult
from vls_steering.core.types import CameraFrame

COLUMNS, ROWS = 6, 4
TILE = (288, 216)
_RIGHT, _WRONG, _UNSEEN, _FALSE = (60, 220, 60), (255, 50, 40), (170, 170, 170), (255, 60, 255)
_INK, _PAPER = (255, 255, 255), (20, 20, 20)
_STEP = 16  # grey levels between colours on the sheet: sensor noise does not compress


def write_sheet(scenes: Sequence[SceneResult], path: Path) -> None:
    """Scenes with a fault first, up to half of the sheet; then those without, in order.

    A ring marks the true centre: green and named as perception named it, red with what it was called instead, grey when
    no camera sees enough of it.  A cross in magenta marks a name for something that has none.
    """
    faulty = [scene for scene in scenes if not scene.flawless][: COLUMNS * ROWS // 2]
    flawless = [scene for scene in scenes if scene.flawless][: COLUMNS * ROWS - len(faulty)]
    tiles = [_tile(scene) for scene in (*faulty, *flawless)]
    empty = np.full((TILE[1], TILE[0], 3), 255, np.uint8)
    tiles += [empty] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _tile(scene: SceneResult) -> NDArray[np.uint8]:
    calm = cv2.bilateralFilter(cv2.resize(scene.frame.color, TILE, interpolation=cv2.INTER_AREA), 9, 50.0, 6.0)
    picture = (calm // _STEP * _STEP).astype(np.uint8)
    for thing in scene.objects:
        ink = _UNSEEN if not thing.seen else _RIGHT if thing.named else _WRONG
        words = thing.name if thing.named or not thing.seen else f"{thing.name}: {thing.called or 'not found'}"
        spot = _on_picture(scene.frame, thing.position_m)
        cv2.circle(picture, spot, 4, ink, 1)
        _write(picture, words, (spot[0] + 6, spot[1] - 3), ink if not thing.named else _INK)
    for false in scene.false:
        spot = _on_picture(scene.frame, false.position_m)
        cv2.drawMarker(picture, spot, _FALSE, cv2.MARKER_TILTED_CROSS, 8)
        _write(picture, false.name, (spot[0] + 6, spot[1] + 8), _FALSE)
    seen = [thing.named for thing in scene.objects if thing.seen]
    _write(picture, f"scene {scene.seed}: {sum(seen)} of {len(seen)} named", (4, TILE[1] - 6), _INK)
    return picture


def _on_picture(frame: CameraFrame, point_m: tuple[float, float, float]) -> tuple[int, int]:
    camera_from_base = np.linalg.inv(frame.base_from_camera)
    u, v, depth = frame.intrinsics @ (camera_from_base[:3, :3] @ np.array(point_m) + camera_from_base[:3, 3])
    scale = TILE[0] / frame.color.shape[1]
    return round(scale * float(u / depth)), round(scale * float(v / depth))


def _write(picture: NDArray[np.uint8], words: str, place: tuple[int, int], ink: tuple[int, int, int]) -> None:
    for offset, colour in ((1, _PAPER), (0, ink)):
        spot = (place[0] + offset, place[1] + offset)
        cv2.putText(picture, words, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.3, colour, 1)
