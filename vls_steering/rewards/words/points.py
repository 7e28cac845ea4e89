"""Words for points, directions and objects."""

from __future__ import annotations

import torch
from torch import Tensor

from vls_steering.rewards.context import Context, Region
from vls_steering.rewards.language import BODY, DIRECTION, OBJECT, POINT, REGION, SIZE, Parameter, Primitive

# Directions as a person at the table says them for a robot that looks along x: forward is away from its base.
DIRECTIONS: dict[str, tuple[float, float, float]] = {
    "forward": (1.0, 0.0, 0.0),
    "backward": (-1.0, 0.0, 0.0),
    "left": (0.0, 1.0, 0.0),
    "right": (0.0, -1.0, 0.0),
    "up": (0.0, 0.0, 1.0),
    "down": (0.0, 0.0, -1.0),
}


def _end_effector(context: Context) -> Tensor:
    return context.rollout.tcp


def _object(context: Context, name: str) -> str:
    return name


def _point(context: Context, x: float, y: float, z: float) -> Tensor:
    return context.scene.tcp.new_tensor((x, y, z)).reshape(1, 1, 3)


def _offset(context: Context, point: Tensor, direction: Tensor, distance: float) -> Tensor:
    return point + distance * direction


def _above(context: Context, name: str, height: float) -> Tensor:
    lifted = context.top(name) + height
    return torch.cat([context.position(name)[..., :2], lifted.unsqueeze(-1)], -1)


def _rest(context: Context, name: str, support: str) -> Tensor:
    return _above(context, support, 0.0) + context.size(name) * context.scene.tcp.new_tensor((0.0, 0.0, 0.5))


def _midpoint(context: Context, a: Tensor, b: Tensor) -> Tensor:
    return (a + b) / 2


def _box(context: Context, center: Tensor, x: float, y: float, z: float) -> Region:
    return Region(center, context.scene.tcp.new_tensor((x, y, z)).abs())


def _approach(context: Context) -> Tensor:
    return context.approach()


def _direction(name: str, vector: tuple[float, float, float]) -> Primitive:
    def evaluate(context: Context) -> Tensor:
        return context.scene.tcp.new_tensor(vector)

    axis = "xyz"[next(i for i, part in enumerate(vector) if part)]
    sign = "+" if sum(vector) > 0 else "-"
    return Primitive(
        name, (), DIRECTION, evaluate, f"The direction {sign}{axis} of the base frame.", f"along(ee, {name}) >= 10 cm"
    )


POINT_WORDS = (
    Primitive(
        "ee", (), POINT, _end_effector, "The point between the fingertips.", "minimize(dist(ee, kp('red cube')))"
    ),
    Primitive(
        "body",
        (),
        BODY,
        lambda context: None,
        "The hand's body: fingers, hand, flange and what it holds.",
        "always(clearance(body, kp('purple box')) >= 3 cm)",
    ),
    Primitive(
        "kp",
        (Parameter("name", OBJECT),),
        OBJECT,
        _object,
        "An object of the scene, by the name the perception gives it; its centre where a point is wanted.",
        "height(kp('red cube')) >= 10 cm",
    ),
    Primitive(
        "point",
        (Parameter("x", SIZE), Parameter("y", SIZE), Parameter("z", SIZE)),
        POINT,
        _point,
        "A fixed point of the base frame: x forward, y left, z up, table top at z = 0.",
        "minimize(lowest(dist(ee, point(50 cm, -10 cm, 20 cm))))",
    ),
    Primitive(
        "offset",
        (Parameter("point", POINT), Parameter("direction", DIRECTION), Parameter("distance", SIZE)),
        POINT,
        _offset,
        "The point moved by a distance along a direction.",
        "dist(ee, offset(kp('red cube'), backward, 6 cm)) <= 2 cm",
    ),
    Primitive(
        "above",
        (Parameter("object", OBJECT), Parameter("height", SIZE)),
        POINT,
        _above,
        "The point at a height over the middle of an object's upper face.",
        "eventually(dist(ee, above('white plate', 10 cm)) <= 3 cm)",
    ),
    Primitive(
        "rest",
        (Parameter("object", OBJECT), Parameter("support", OBJECT)),
        POINT,
        _rest,
        "Where the centre of the first object is when it stands on the middle of the second.",
        "minimize(lowest(dist(kp('red cube'), rest('red cube', 'white plate'))))",
    ),
    Primitive(
        "midpoint",
        (Parameter("a", POINT), Parameter("b", POINT)),
        POINT,
        _midpoint,
        "The point halfway between two points.",
        "minimize(lowest(horizontal(kp('red cube'), midpoint('blue cube', 'green cylinder'))))",
    ),
    Primitive(
        "box",
        (Parameter("center", POINT), Parameter("x", SIZE), Parameter("y", SIZE), Parameter("z", SIZE)),
        REGION,
        _box,
        "An axis-aligned box of space, by its centre and full extents; an object stands for its own.",
        "always(clearance(body, box(point(60 cm, 0 cm, 20 cm), 10 cm, 40 cm, 40 cm)) >= 2 cm)",
    ),
    Primitive(
        "approach",
        (),
        DIRECTION,
        _approach,
        "The direction out of the hand, from palm to fingertips.",
        "always(angle(approach, forward) <= 20 deg)",
    ),
    *(_direction(name, vector) for name, vector in DIRECTIONS.items()),
)
