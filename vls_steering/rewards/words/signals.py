"""Words for quantities: one value per step of the chunk, SI units."""

from __future__ import annotations

import torch
from torch import Tensor

from vls_steering.rewards.context import Context, Region
from vls_steering.rewards.geometry import angle_between, box_distance, safe_norm, segment_distance
from vls_steering.rewards.language import (
    BODY,
    DIRECTION,
    DISTANCE,
    OBJECT,
    POINT,
    REGION,
    Kind,
    Parameter,
    Primitive,
    Site,
    Type,
)
from vls_steering.rewards.units import ACCELERATION, ANGLE, NUMBER, SPEED

_ANY = Type(Kind.SIGNAL)
_A_AND_B = (Parameter("a", POINT), Parameter("b", POINT))


def _dist(context: Context, a: Tensor, b: Tensor) -> Tensor:
    return safe_norm(a - b)


def _horizontal(context: Context, a: Tensor, b: Tensor) -> Tensor:
    return safe_norm((a - b)[..., :2])


def _height(context: Context, point: Tensor) -> Tensor:
    return point[..., 2]


def _along(context: Context, point: Tensor, direction: Tensor) -> Tensor:
    return (point * direction).sum(-1)


def _offset_from_line(context: Context, point: Tensor, start: Tensor, direction: Tensor) -> Tensor:
    away = point - start
    along = (away * direction).sum(-1, keepdim=True)
    return safe_norm((away - along * direction)[..., :2])


def _gripper_width(context: Context) -> Tensor:
    return context.rollout.gripper_width


def _steps(context: Context) -> tuple[Tensor, Tensor]:
    """Moves (K, H, 3) m from step to step, the first from where the hand is, and the seconds (H,) each may take."""
    tcp, times = context.rollout.tcp, context.rollout.times_s
    moves = torch.diff(tcp, dim=1, prepend=context.scene.tcp.expand(tcp.shape[0], 1, 3))
    # At rest (one step, now) there is no time for a motion to take.
    return moves, torch.diff(times, prepend=times.new_zeros(1)).clamp(min=1e-3)


def _speed(context: Context) -> Tensor:
    if context.rollout.at_rest and context.scene.velocity is not None:
        return safe_norm(context.scene.velocity).reshape(1, 1)
    moves, seconds = _steps(context)
    return safe_norm(moves) / seconds


def _acceleration(context: Context) -> Tensor:
    moves, seconds = _steps(context)
    velocities = moves / seconds.unsqueeze(-1)
    # The velocity before the chunk is not measured: its first step counts as unaccelerated.
    changes = torch.diff(velocities, dim=1, prepend=velocities[:, :1])
    return safe_norm(changes) / seconds


def _path_length(context: Context) -> Tensor:
    return torch.cumsum(safe_norm(_steps(context)[0]), 1)


def _angle(context: Context, a: Tensor, b: Tensor) -> Tensor:
    return context.spread(angle_between(a, b))


def _tilt(context: Context) -> Tensor:
    return context.spread(angle_between(context.approach(), context.scene.tcp.new_tensor((0.0, 0.0, -1.0))))


def _joint(context: Context, number: float) -> Tensor:
    return context.joint(int(number) - 1)


def _dist_segment(context: Context, point: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return segment_distance(point, start, end)


def _dist_plane(context: Context, point: Tensor, through: Tensor, direction: Tensor) -> Tensor:
    return ((point - through) * direction).sum(-1)


def _dist_box(context: Context, point: Tensor, region: Region) -> Tensor:
    return box_distance(point, region.center, region.size)


def _clearance(context: Context, body: None, region: Region) -> Tensor:
    """(K, H) m, signed distance between the nearest body sphere and the region's box."""
    nearest = context.body_clearance(region)
    held = context.scene.held
    if held is None or held == region.name:
        return nearest
    around = 0.5 * context.size(held).norm()  # the ball that holds the object, however it is turned
    return torch.minimum(nearest, box_distance(context.position(held), region.center, region.size) - around)


def _gap(context: Context, first: str, second: str) -> Tensor:
    """Signed distance between two axis-aligned boxes; inside it is minus the least overlap."""
    return box_distance(context.position(first), context.position(second), context.size(first) + context.size(second))


def _abs(context: Context, value: Tensor) -> Tensor:
    return value.abs()


def _at_end(context: Context, value: Tensor) -> Tensor:
    return context.spread(value)[:, -1:]


def _mean(context: Context, value: Tensor) -> Tensor:
    return context.spread(value).mean(-1, keepdim=True)


def _highest(context: Context, site: Site, value: Tensor) -> Tensor:
    peak = context.semantics.peak(context.spread(value) / site.reference)
    return peak.unsqueeze(-1) * site.reference


def _lowest(context: Context, site: Site, value: Tensor) -> Tensor:
    return -_highest(context, site, -value)


def _same(arguments: tuple[Type, ...]) -> Type:
    return arguments[0]


def _whole_chunk(arguments: tuple[Type, ...]) -> Type:
    return Type(Kind.SIGNAL, arguments[0].dimension, instant=False)


_EACH_STEP = (Parameter("quantity", _ANY, any_dimension=True),)

SIGNAL_WORDS = (
    Primitive(
        "dist",
        _A_AND_B,
        DISTANCE,
        _dist,
        "Distance between two points.",
        "eventually(dist(ee, kp('red cube')) <= 2 cm)",
    ),
    Primitive(
        "horizontal",
        _A_AND_B,
        DISTANCE,
        _horizontal,
        "Distance between two points as seen from above.",
        "horizontal(kp('red cube'), kp('white plate')) <= 3 cm",
    ),
    Primitive(
        "height",
        (Parameter("point", POINT),),
        DISTANCE,
        _height,
        "Height of a point over the table top.",
        "eventually(height(kp('red cube')) >= 12 cm)",
    ),
    Primitive(
        "along",
        (Parameter("point", POINT), Parameter("direction", DIRECTION)),
        DISTANCE,
        _along,
        "Coordinate of a point along a direction, from the robot's base.",
        "along(kp('red cube'), forward) >= 55 cm",
    ),
    Primitive(
        "off_line",
        (Parameter("point", POINT), Parameter("start", POINT), Parameter("direction", DIRECTION)),
        DISTANCE,
        _offset_from_line,
        "Distance, seen from above, between a point and the line through `start` along a direction.",
        "always(off_line(ee, kp('red cube'), forward) <= 2 cm)",
    ),
    Primitive(
        "dist_segment",
        (Parameter("point", POINT), Parameter("start", POINT), Parameter("end", POINT)),
        DISTANCE,
        _dist_segment,
        "Distance between a point and the straight line from one point to another.",
        "always(dist_segment(ee, kp('red cube'), above('white plate', 10 cm)) <= 5 cm)",
    ),
    Primitive(
        "dist_plane",
        (Parameter("point", POINT), Parameter("through", POINT), Parameter("direction", DIRECTION)),
        DISTANCE,
        _dist_plane,
        "How far a point lies past the plane through another point, counted along a direction.",
        "always(dist_plane(ee, kp('blue cube'), left) >= 6 cm)",
    ),
    Primitive(
        "dist_box",
        (Parameter("point", POINT), Parameter("region", REGION)),
        DISTANCE,
        _dist_box,
        "Distance between a point and an object's or given box; negative inside.",
        "eventually(dist_box(kp('red cube'), box(point(50 cm, 20 cm, 5 cm), 20 cm, 20 cm, 10 cm)) <= 0 cm)",
    ),
    Primitive(
        "clearance",
        (Parameter("body", BODY), Parameter("object", REGION)),
        DISTANCE,
        _clearance,
        "Free space between the hand's body, with what it holds, and an object's or given box; negative in contact.",
        "always(clearance(body, kp('purple box')) >= 3 cm)",
    ),
    Primitive(
        "gap",
        (Parameter("a", OBJECT), Parameter("b", OBJECT)),
        DISTANCE,
        _gap,
        "Free space between the boxes of two objects; negative when they overlap.",
        "always(gap('red cube', 'purple box') >= 5 cm)",
    ),
    Primitive(
        "gripper_width",
        (),
        DISTANCE,
        _gripper_width,
        "Distance between the fingers: 0 closed, 8 cm open.",
        "always(gripper_width >= 6 cm, before=0.5 s)",
    ),
    Primitive(
        "speed", (), Type(Kind.SIGNAL, SPEED), _speed, "Speed of the fingertip point.", "always(speed <= 20 cm/s)"
    ),
    Primitive(
        "acceleration",
        (),
        Type(Kind.SIGNAL, ACCELERATION),
        _acceleration,
        "Acceleration of the fingertip point.",
        "always(acceleration <= 1 m/s/s) * 0.3",
    ),
    Primitive(
        "path_length",
        (),
        DISTANCE,
        _path_length,
        "Length of the fingertip point's path from now to each step.",
        "minimize(at_end(path_length)) * 0.2",
    ),
    Primitive(
        "angle",
        (Parameter("a", DIRECTION), Parameter("b", DIRECTION)),
        Type(Kind.SIGNAL, ANGLE),
        _angle,
        "Angle between two directions.",
        "always(angle(approach, down) <= 15 deg)",
    ),
    Primitive(
        "tilt",
        (),
        Type(Kind.SIGNAL, ANGLE),
        _tilt,
        "How far the hand, and what it holds, leans from pointing straight down.",
        "always(tilt <= 15 deg)",
    ),
    Primitive(
        "joint",
        (Parameter("number", Type(Kind.SIGNAL, NUMBER, constant=True), choices=(1, 2, 3, 4, 5, 6, 7)),),
        Type(Kind.SIGNAL, ANGLE),
        _joint,
        "Position of an arm joint, 1 (base) to 7 (hand): predicted where the policy plans joints, else measured.",
        "always(abs(joint(4)) <= 150 deg)",
    ),
    Primitive("abs", _EACH_STEP, _same, _abs, "Magnitude of a quantity.", "always(abs(along(ee, left)) <= 20 cm)"),
    Primitive(
        "at_end",
        _EACH_STEP,
        _whole_chunk,
        _at_end,
        "Value at the chunk's last step, for objectives.",
        "minimize(at_end(dist(ee, kp('red cube'))))",
    ),
    Primitive(
        "mean",
        _EACH_STEP,
        _whole_chunk,
        _mean,
        "Average over the chunk, for objectives.",
        "minimize(mean(speed)) * 0.1",
    ),
    Primitive(
        "lowest",
        _EACH_STEP,
        _whole_chunk,
        _lowest,
        "Smallest value in the chunk, for objectives.",
        "minimize(lowest(dist(ee, kp('red cube')))) * 2",
        temporal=True,
    ),
    Primitive(
        "highest",
        _EACH_STEP,
        _whole_chunk,
        _highest,
        "Largest value in the chunk, for objectives.",
        "maximize(highest(height(kp('red cube'))))",
        temporal=True,
    ),
)
