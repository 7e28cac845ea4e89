"""Validated, read-only arrays for frozen types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.errors import ShapeError

FloatArray = NDArray[np.float64]


def frozen_array(name: str, value: Any, shape: Sequence[int | None]) -> FloatArray:
    """A read-only float64 copy of `value`; `None` in `shape` leaves that axis free.

    Raises ShapeError naming `name` when the shape differs or an entry is not finite.
    """
    array = np.array(value, dtype=np.float64)
    expected = tuple(shape)
    fits = array.ndim == len(expected) and all(
        want is None or have == want for have, want in zip(array.shape, expected, strict=True)
    )
    if not fits:
        raise ShapeError(f"{name} has shape {array.shape}, expected {expected}")
    if not np.isfinite(array).all():
        raise ShapeError(f"{name} holds a value that is not finite")
    array.flags.writeable = False
    return array
