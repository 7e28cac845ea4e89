"""Where an object is, how fast it moves and how well that is known.

The filter is a constant-velocity Kalman filter whose axes are independent.  Its velocity gain follows from the position
gain as Benedict and Bordner derive it ("Synthesis of an optimal set of radar track-while-scan smoothing equations",
1962), so that only the position's variance is carried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.settings import MotionSettings


@dataclass(frozen=True)
class MotionEstimate:
    """All in the base frame, per axis."""

    position: FloatArray  # (3,) m
    variance: FloatArray  # (3,) m²
    velocity: FloatArray  # (3,) m/s

    @classmethod
    def at_rest(cls, position: FloatArray, sigma_m: float) -> MotionEstimate:
        return cls(np.asarray(position, dtype=float), np.full(3, sigma_m**2), np.zeros(3))

    def predicted(self, elapsed_s: float, drift_m: float, settings: MotionSettings) -> MotionEstimate:
        """Constant velocity that dies away, as every push ends; `drift_m` is the random walk's deviation after 1 s."""
        decay = np.exp(-elapsed_s / settings.velocity_s)
        travel = self.velocity * settings.velocity_s * (1.0 - decay)
        variance = self.variance + drift_m**2 * elapsed_s + (settings.travel_share * travel) ** 2
        return MotionEstimate(self.position + travel, variance, self.velocity * decay)

    def displaced(self, shift: FloatArray, variance: FloatArray, elapsed_s: float) -> MotionEstimate:
        """Moved by a measured `shift` (3,) m of `variance` (3,) m² within `elapsed_s`."""
        velocity = shift / elapsed_s if elapsed_s > 0.0 else self.velocity
        return MotionEstimate(self.position + shift, self.variance + variance, velocity)

    def corrected(
        self, place: FloatArray, sigma_m: FloatArray, elapsed_s: float, settings: MotionSettings
    ) -> MotionEstimate:
        """Pulled to a measured `place` (3,) m; an axis whose `sigma_m` is infinite was not measured.

        An innovation that the variance does not explain is a manoeuvre: the variance grows to it, so that the filter
        follows at once (fading memory).  Velocity is learnt from views of the whole object alone: of something that is
        being covered, the edge moves and not the object.
        """
        innovation = np.where(np.isfinite(sigma_m), place - self.position, 0.0)
        noise = sigma_m**2
        surprise = float((innovation**2 / (self.variance + noise)).sum())
        variance = self.variance
        if surprise > settings.surprise:
            variance = np.maximum(variance, innovation**2)
        gain = variance / (variance + noise)
        velocity = self.velocity
        if elapsed_s > 0.0:
            whole = sigma_m <= settings.whole_m
            velocity = velocity + np.where(whole, gain**2 / (2.0 - gain) * innovation / elapsed_s, 0.0)
        return MotionEstimate(self.position + gain * innovation, (1.0 - gain) * variance, velocity)
