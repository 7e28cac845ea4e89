"""What one sighting says about the place of an object that is known already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.merge import Sighting
from vls_steering.perception.settings import MotionSettings, TrackSettings


@dataclass(frozen=True)
class Believed:
    """An object as the tracker knows it before it looks."""

    position: FloatArray  # (3,) m, base frame
    size: FloatArray  # (3,) m
    whole_seen: bool  # `size` comes from a complete view


@dataclass(frozen=True)
class Placement:
    """Where a sighting puts the object's centre."""

    position: FloatArray  # (3,) m, base frame
    sigma_m: FloatArray  # (3,) standard deviation; infinite along an axis that was not measured


def first_sigma(sighting: Sighting, motion: MotionSettings) -> FloatArray:
    """(3,) m: how well the middle of what is seen is the middle of an object that was never seen as a whole."""
    return np.full(3, motion.whole_m) if sighting.complete else np.maximum(motion.side_m, sighting.size / 4.0)


class Placer:
    """Reads partial views with the help of the known size."""

    def __init__(self, track: TrackSettings, motion: MotionSettings) -> None:
        self._track, self._motion = track, motion

    def place(self, believed: Believed, sighting: Sighting) -> Placement:
        """Where the sighting says the object's centre is.

        Along each axis: midway when both sides are free; half the known size from the one free side; and when neither
        is, the object is moved as little as needed to contain what was seen (a set-membership update), which measures
        nothing when it need not move.  Height comes from the top, because the lower end hides first.
        """
        whole, side = self._motion.whole_m, self._motion.side_m
        if not believed.whole_seen:
            return Placement(sighting.centroid, first_sigma(sighting, self._motion))
        half = 0.5 * believed.size
        from_upper, from_lower = sighting.upper - half, sighting.lower + half
        contained = from_upper < from_lower
        place = np.where(contained, np.clip(believed.position, from_upper, from_lower), sighting.centroid)
        sigma_m = np.where(contained & (place == believed.position), np.inf, side)
        if self.shows_top(believed, sighting):
            large = self._large_enough(believed, sighting)
            for axis in range(2):
                lower_free, upper_free = sighting.free[:, axis]
                if lower_free and upper_free and large[axis]:
                    place[axis], sigma_m[axis] = sighting.centroid[axis], whole
                elif lower_free != upper_free:
                    place[axis], sigma_m[axis] = from_upper[axis] if upper_free else from_lower[axis], side
        if self.shows_all(believed, sighting) or sighting.upper[2] > believed.position[2] + half[2]:
            place[2], sigma_m[2] = from_upper[2], whole
        return Placement(place, sigma_m)

    def shows_top(self, believed: Believed, sighting: Sighting) -> bool:
        """Sides are measured on the top face; what is far below the known top is only a strip of a side."""
        top_m = believed.position[2] + 0.5 * believed.size[2]
        return bool(sighting.upper[2] > top_m - self._track.top_hidden_m)

    def shows_all(self, believed: Believed, sighting: Sighting) -> bool:
        """The sighting measures the whole object."""
        if not (sighting.complete and believed.whole_seen):
            return sighting.complete
        return self.shows_top(believed, sighting) and bool(self._large_enough(believed, sighting).all())

    def _large_enough(self, believed: Believed, sighting: Sighting) -> NDArray[np.bool_]:
        """(2,) per axis: a view smaller than the object is known to be is a part of it, whatever it claims."""
        missing = (believed.size - sighting.size)[:2]
        allowed = np.maximum(self._track.shrink_m, self._track.shrink * believed.size[:2])
        large: NDArray[np.bool_] = missing < allowed
        return large
