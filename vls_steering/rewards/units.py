"""Units and dimensions of the reward language: everything is SI inside, and only like is compared with like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    """Integer exponents of metre, second, radian and newton."""

    metre: int = 0
    second: int = 0
    radian: int = 0
    newton: int = 0

    def __mul__(self, other: Dimension) -> Dimension:
        return Dimension(
            self.metre + other.metre,
            self.second + other.second,
            self.radian + other.radian,
            self.newton + other.newton,
        )

    def __truediv__(self, other: Dimension) -> Dimension:
        return Dimension(
            self.metre - other.metre,
            self.second - other.second,
            self.radian - other.radian,
            self.newton - other.newton,
        )

    @property
    def reference(self) -> float:
        """The SI amount worth one unit of score: 10 cm, 1 s, 0.5 rad or 10 N, and their products.

        Scores add terms of different dimensions; dividing by this amount makes them comparable.
        """
        return float(0.1**self.metre * 0.5**self.radian * 10.0**self.newton)

    def __str__(self) -> str:
        if self in _NAMES:
            return _NAMES[self]
        powers = {"m": self.metre, "s": self.second, "rad": self.radian, "N": self.newton}
        return " ".join(f"{unit}^{power}" if power != 1 else unit for unit, power in powers.items() if power)


NUMBER = Dimension()
LENGTH = Dimension(metre=1)
TIME = Dimension(second=1)
ANGLE = Dimension(radian=1)
FORCE = Dimension(newton=1)
SPEED = LENGTH / TIME
ACCELERATION = SPEED / TIME

_NAMES = {
    NUMBER: "a plain number",
    LENGTH: "a length",
    TIME: "a time",
    ANGLE: "an angle",
    FORCE: "a force",
    SPEED: "a speed",
    ACCELERATION: "an acceleration",
}

# name -> (factor to SI, dimension)
UNITS: dict[str, tuple[float, Dimension]] = {
    "mm": (1e-3, LENGTH),
    "cm": (1e-2, LENGTH),
    "m": (1.0, LENGTH),
    "ms": (1e-3, TIME),
    "s": (1.0, TIME),
    "deg": (0.017453292519943295, ANGLE),
    "rad": (1.0, ANGLE),
    "N": (1.0, FORCE),
}


def example_of(dimension: Dimension) -> str:
    """A literal of this dimension, for messages that say what would be accepted."""
    examples = {LENGTH: "5 cm", TIME: "1.5 s", ANGLE: "15 deg", FORCE: "10 N", SPEED: "10 cm/s", NUMBER: "2"}
    return examples.get(dimension, str(dimension))
