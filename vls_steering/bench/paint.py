"""Drawing primitives of the video: text, bars, particles; all antialiased, colours are RGB."""

from __future__ import annotations

import textwrap

import cv2
import numpy as np

from vls_steering.bench.studio import View
from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoint

Colour = tuple[int, int, int]
INK: Colour = (236, 239, 244)
QUIET: Colour = (150, 158, 172)
PANEL: Colour = (20, 23, 29)
LINE: Colour = (52, 58, 70)
TEAL: Colour = (45, 212, 191)
AMBER: Colour = (255, 184, 76)
RED: Colour = (255, 92, 92)
GREEN: Colour = (74, 222, 128)
GREY: Colour = (128, 136, 150)
_RAMP = np.array([RED, AMBER, GREEN], dtype=float)  # worst to best, as in RViz
FAINT = 0.25  # opacity of what is hidden
_SUBPIXEL = 4  # bits of fraction in OpenCV coordinates
_BASE_SIZE_PX = 22.0  # Hershey's height at scale 1, for OpenCV before 5


def reward_colour(share: float) -> Colour:
    """0 worst .. 1 best; NaN (ruled out) is grey."""
    if not np.isfinite(share):
        return GREY
    place = float(np.clip(share, 0.0, 1.0)) * (len(_RAMP) - 1)
    low = min(int(place), len(_RAMP) - 2)
    red, green, blue = _RAMP[low] + (place - low) * (_RAMP[low + 1] - _RAMP[low])
    return int(red), int(green), int(blue)


def reward_shares(scores: FloatArray) -> FloatArray:
    """(K,) scores -> 0 (worst) .. 1 (best) within the tick."""
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return (scores - low) / (high - low) if high > low else np.where(np.isfinite(scores), 1.0, np.nan)


def text(
    picture: np.ndarray, words: str, at: tuple[int, int], size_px: int, colour: Colour = INK, bold: bool = False
) -> None:
    """One line with its baseline at `at` (x, y)."""
    if hasattr(cv2, "FontFace"):  # OpenCV 5 brings a real typeface
        cv2.putText(picture, words, at, colour, cv2.FontFace("sans"), size_px, 700 if bold else 400)
        return
    scale = size_px / _BASE_SIZE_PX / 1.4
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 2 if bold else 1, cv2.LINE_AA)


def paragraph(
    picture: np.ndarray,
    words: str,
    at: tuple[int, int],
    size_px: int,
    columns: int,
    colour: Colour = INK,
    bold: bool = False,
) -> int:
    """Wrapped lines; returns the y of the next baseline."""
    x, y = at
    for line in textwrap.wrap(words, columns):
        text(picture, line, (x, y), size_px, colour, bold)
        y += round(1.35 * size_px)
    return y


def rounded(picture: np.ndarray, at: tuple[int, int], size: tuple[int, int], colour: Colour) -> None:
    """A filled bar with round ends."""
    (x, y), (width, height) = at, size
    radius = min(width, height) / 2
    if width <= 0:
        return
    points = [(x + radius, y + height / 2), (x + width - radius, y + height / 2)]
    fixed = [(round(a * 2**_SUBPIXEL), round(b * 2**_SUBPIXEL)) for a, b in points]
    cv2.line(picture, fixed[0], fixed[1], colour, max(round(2 * radius), 1), cv2.LINE_AA, _SUBPIXEL)


def veil(picture: np.ndarray, at: tuple[int, int], size: tuple[int, int], opacity: float = 0.6) -> None:
    """Darken a rectangle so that text on it can be read."""
    (x, y), (width, height) = at, size
    area = picture[max(y, 0) : y + height, max(x, 0) : x + width]
    area[:] = (area * (1 - opacity) + np.array(PANEL) * opacity).astype(np.uint8)


def polyline(
    view: View, picture: np.ndarray, points: FloatArray, colour: Colour, width_px: int, opacity: float = 1.0
) -> None:
    """A path (N, 3) m; what stands before it lets it show through faintly."""
    if len(points) < 2:
        return
    pixels, seen = view.project(points)
    (left, top), (right, bottom) = _bounds(pixels, width_px, picture.shape)
    area = picture[top:bottom, left:right]
    if area.size == 0:
        return
    before, hidden = area.copy(), area.copy()
    shown = area.copy()
    fixed = np.rint((pixels - [left, top]) * 2**_SUBPIXEL).astype(int).tolist()
    for start, end, visible in zip(fixed[:-1], fixed[1:], seen[:-1] | seen[1:], strict=True):
        cv2.line(shown if visible else hidden, start, end, colour, width_px, cv2.LINE_AA, _SUBPIXEL)
    faint = FAINT * opacity
    cv2.addWeighted(hidden, faint, before, 1 - faint, 0, dst=hidden)
    mask = (shown != before).any(axis=2, keepdims=True)
    area[:] = np.where(mask, cv2.addWeighted(shown, opacity, hidden, 1 - opacity, 0), hidden)


def particles(view: View, picture: np.ndarray, candidates: FloatArray, scores: FloatArray, chosen: int) -> None:
    """Every candidate (K, H, 3) m coloured by its reward, worst first; the chosen one thick and on top."""
    shares = reward_shares(scores)
    for index in np.argsort(np.where(np.isfinite(shares), shares, -1.0)):
        if index != chosen:
            polyline(view, picture, candidates[index], reward_colour(float(shares[index])), 2, opacity=0.8)
    if chosen >= 0:
        polyline(view, picture, candidates[chosen], PANEL, 9, opacity=0.45)
        polyline(view, picture, candidates[chosen], TEAL, 5)
        end, _ = view.project(candidates[chosen][-1:])
        cv2.circle(picture, _fixed(end[0]), 6 << _SUBPIXEL, TEAL, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL)


def trail(view: View, picture: np.ndarray, path: FloatArray) -> None:
    """Where the tool centre point has been, fading into the past."""
    pieces = np.array_split(path, max(1, min(6, len(path) // 4)))
    for age, piece in enumerate(reversed(pieces)):
        joined = piece if age == 0 else np.vstack([piece, pieces[len(pieces) - age][:1]])
        polyline(view, picture, joined, INK, 2, opacity=max(0.15, 0.75 - 0.12 * age))


def plumb_line(view: View, picture: np.ndarray, tcp: FloatArray) -> None:
    """From the tool centre point down to the table: the one thing a flat picture does not tell."""
    foot = np.array([tcp[0], tcp[1], 0.0])
    polyline(view, picture, np.linspace(tcp, foot, 8), INK, 1, opacity=0.5)
    angles = np.linspace(0.0, 2 * np.pi, 25)
    ring = foot + 0.012 * np.c_[np.cos(angles), np.sin(angles), np.zeros_like(angles)]
    polyline(view, picture, ring, INK, 1, opacity=0.7)


def box(view: View, picture: np.ndarray, point: Keypoint, colour: Colour, named: bool) -> None:
    """The wire frame of what perception measured."""
    low, high = point.position - point.size / 2, point.position + point.size / 2
    corner = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    edges = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
    for a, b in edges:
        polyline(view, picture, np.linspace(corner[a], corner[b], 5), colour, 1, opacity=0.85)
    if named:
        top, _ = view.project(np.array([[point.position[0], point.position[1], high[2] + 0.02]]))
        x, y = (round(float(value)) for value in top[0])
        width = 9 * len(point.name)
        veil(picture, (x - width // 2 - 6, y - 17), (width + 12, 22), 0.55)
        text(picture, point.name, (x - width // 2, y), 15, colour)


def _fixed(point: FloatArray) -> tuple[int, int]:
    return round(float(point[0]) * 2**_SUBPIXEL), round(float(point[1]) * 2**_SUBPIXEL)


def _bounds(pixels: FloatArray, margin: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    limit = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(pixels.min(axis=0)).astype(int) - margin - 2, 0, limit)
    high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + margin + 3, 0, limit)
    return low, high
