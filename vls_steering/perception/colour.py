"""Names the colour of every pixel by hue, so that a change of brightness does not rename an object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray

# Upper ends of the hue bands in degrees; red closes the circle.
_HUE_BANDS = (
    (15.0, "red"),
    (38.0, "orange"),
    (70.0, "yellow"),
    (165.0, "green"),
    (205.0, "cyan"),
    (255.0, "blue"),
    (310.0, "purple"),
    (345.0, "pink"),
    (360.0, "red"),
)
ACHROMATIC = ("white", "grey", "black")
COLOURS = (*dict.fromkeys(name for _, name in _HUE_BANDS), *ACHROMATIC)
CHROMATIC = tuple(name for name in COLOURS if name not in ACHROMATIC)

# Robots and tables are less saturated than this; coloured objects keep it even on their shaded sides.
_SATURATION_MIN = 0.45
# Difference of the largest and the smallest channel, in grey levels: sensor noise on black is below it.
_CHROMA_MIN = 28.0
_WHITE_VALUE, _WHITE_SATURATION, _BLACK_VALUE = 150, 0.20, 45
# Brightest channel, as a multiple of the table's: what white, grey and black reflect of the same light.
_WHITE_TO_TABLE, _BLACK_TO_TABLE = 1.22, 0.31
# A table is taken for mid-tone; one as dark or as light as these still is, so that its own colour cannot mislead much.
_TABLE_RANGE = (80.0, 190.0)

ColourImage = NDArray[np.uint8]  # index into COLOURS


def colour_index(name: str) -> int:
    """Value of `name` in a colour image."""
    return COLOURS.index(name)


def classify_colours(color: NDArray[np.uint8]) -> ColourImage:
    """(H, W, 3) RGB -> (H, W) index into COLOURS."""
    hue, saturation, value = cv2.split(cv2.cvtColor(color, cv2.COLOR_RGB2HSV))
    classes = _hue_table()[hue]
    saturated = (saturation > 255 * _SATURATION_MIN) & (cv2.multiply(saturation, value, scale=1 / 255) > _CHROMA_MIN)
    grey = np.full_like(classes, colour_index("grey"))
    grey[(value > _WHITE_VALUE) & (saturation < 255 * _WHITE_SATURATION)] = colour_index("white")
    grey[value < _BLACK_VALUE] = colour_index("black")
    named: ColourImage = np.where(saturated, classes, grey)
    return named


def is_chromatic(classes: ColourImage) -> NDArray[np.bool_]:
    """True where the pixel has a hue."""
    mask: NDArray[np.bool_] = classes < len(CHROMATIC)
    return mask


def hue_deg(rgb: FloatArray) -> FloatArray:
    """(N, 3) mean colours -> (N,) hue in degrees, 0 .. 360; means nothing for a grey."""
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    spread = np.maximum(high - low, 1e-9)
    red, green, blue = rgb.T
    sixths = np.select(
        [red == high, green == high],
        [(green - blue) / spread, 2.0 + (blue - red) / spread],
        4.0 + (red - green) / spread,
    )
    hue: FloatArray = (60.0 * sixths) % 360.0
    return hue


def hue_name(hue: float) -> str:
    """The word for a hue in degrees."""
    return next(name for end, name in _HUE_BANDS if hue % 360.0 < end)


def grey_name(level: float, table_level: float) -> str:
    """The word for a surface without hue, from its brightest channel and that of the table in the same light."""
    table = float(np.clip(table_level, *_TABLE_RANGE))
    if level > _WHITE_TO_TABLE * table:
        return "white"
    return "black" if level < _BLACK_TO_TABLE * table else "grey"


def _hue_table() -> ColourImage:
    """OpenCV's hue (half degrees, 0 .. 179) -> colour index."""
    ends = np.array([end for end, _ in _HUE_BANDS])
    names = np.array([colour_index(name) for _, name in _HUE_BANDS], dtype=np.uint8)
    table = np.full(256, colour_index("red"), dtype=np.uint8)
    table[:180] = names[np.searchsorted(ends, 2.0 * np.arange(180), side="right")]
    return table
