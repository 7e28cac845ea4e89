"""Tables to test perception on: three to eight things with a name, clutter without one, hard light, the arm in the way.

Everything that is drawn is a function of the seed.  Nothing here is shared with the perception: the palette and the
proportions are those of the objects that the simulator has, varied, and are not read from the classifier's tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import mujoco
import numpy as np

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.cameras import CameraNoise
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.props import Prop

BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
BALL, EGG, PEN = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_ELLIPSOID, mujoco.mjtGeom.mjGEOM_CAPSULE

OBJECTS_RANGE = (3, 8)
CLUTTER_RANGE = (0, 5)
TABLE_X_M, TABLE_Y_M = (0.36, 0.66), (-0.32, 0.32)
GAP_M = 0.014  # between the upright cylinders around two things
LAYER_M = 0.0005  # a flat mark on the table must not share its surface
ATTEMPTS = 4000

# Centre hue in degrees of the simulator's coloured objects.
HUES_DEG = MappingProxyType(
    {"red": 2, "orange": 25, "yellow": 49, "green": 125, "cyan": 184, "blue": 230, "purple": 282, "pink": 334}
)
HUE_SPREAD_DEG = 6.0
SATURATION, VALUE = (0.78, 0.97), (0.60, 0.95)
GREYS = MappingProxyType({"white": (0.86, 0.95), "grey": (0.42, 0.55), "black": (0.03, 0.07)})
GREY_SHARE = 0.15  # of the things are white, grey or black

SHAPE_SHARES = MappingProxyType({"cube": 0.30, "cylinder": 0.27, "brick": 0.22, "box": 0.12, "plate": 0.09})
AT_MOST = MappingProxyType({"box": 2, "plate": 1})
RAISED_SHARE = 0.25  # of the scenes have a thing on a support
REACHING_SHARE = 0.5  # of the scenes have the arm over the table
BLURRED_SHARE = 0.3


@dataclass(frozen=True)
class Lighting:
    """Lamps of a scene; MuJoCo's headlight shines from the camera."""

    ambient: float
    headlight: float
    lamp: float
    lamp_direction: tuple[float, float, float]

    def shine(self, model: mujoco.MjModel) -> None:
        """Set the model's lamps; a renderer sees them from the next picture on."""
        model.vis.headlight.ambient[:] = self.ambient
        model.vis.headlight.diffuse[:] = self.headlight
        model.light_diffuse[0] = self.lamp
        model.light_dir[0] = np.array(self.lamp_direction) / np.linalg.norm(self.lamp_direction)


@dataclass(frozen=True)
class PerceptionScene:
    """One table; `objects` have a name that perception must find, `clutter` has none."""

    seed: int
    objects: tuple[Prop, ...]
    clutter: tuple[Prop, ...]
    layout: SceneLayout  # of the arm alone
    lighting: Lighting
    noise: CameraNoise

    @property
    def props(self) -> tuple[Prop, ...]:
        return (*self.objects, *self.clutter)


def draw_perception_scene(seed: int) -> PerceptionScene:
    """Raises ConfigurationError when the table has no room, which ATTEMPTS makes unlikely."""
    rng = np.random.default_rng([seed, 11])
    for _ in range(20):
        placed = _placed(rng)
        if placed is not None:
            objects, clutter = placed
            layout = _arm(rng, seed, (*objects, *clutter))
            return PerceptionScene(seed, objects, clutter, layout, _lighting(rng), _noise(rng))
    raise ConfigurationError(f"no room for the things of perception scene {seed}", "Choose another seed")


def _placed(rng: np.random.Generator) -> tuple[tuple[Prop, ...], tuple[Prop, ...]] | None:
    raised = rng.random() < RAISED_SHARE
    count = int(rng.integers(OBJECTS_RANGE[0], OBJECTS_RANGE[1] + 1)) - 2 * raised  # a tower is two
    objects: list[Prop] = []
    drawn = [_named(rng, shape) for shape in _shapes(rng, count)]
    if raised:
        objects.extend(_tower(rng))
    for prop in drawn:
        spot = _free_spot(rng, prop, objects)
        if spot is None:
            return None
        objects.append(_standing(prop, spot))
    clutter: list[Prop] = []
    for _ in range(int(rng.integers(CLUTTER_RANGE[0], CLUTTER_RANGE[1] + 1))):
        prop = _nameless(rng)
        spot = _free_spot(rng, prop, [*objects, *clutter])
        if spot is not None:
            clutter.append(_standing(prop, spot))
    return tuple(objects), tuple(clutter)


def _shapes(rng: np.random.Generator, count: int) -> list[str]:
    names, shares = list(SHAPE_SHARES), np.array(list(SHAPE_SHARES.values()))
    shapes: list[str] = []
    while len(shapes) < count:
        shape = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        if shapes.count(shape) < AT_MOST.get(shape, count):
            shapes.append(shape)
    return shapes


def _named(rng: np.random.Generator, shape: str) -> Prop:
    """A thing at the origin, of proportions around those of the simulator's own objects."""
    colour, rgba = _colour(rng)
    geom, size = _proportions(rng, shape)
    return Prop(f"{colour} {shape}", geom, size, (0.0, 0.0, 0.0), rgba, float(rng.uniform(-np.pi, np.pi)))


def _proportions(rng: np.random.Generator, shape: str) -> tuple[mujoco.mjtGeom, tuple[float, float, float]]:
    if shape == "cube":
        half = rng.uniform(0.016, 0.025)
        return BOX, (half, half, half)
    if shape == "cylinder":
        return CYLINDER, (rng.uniform(0.016, 0.026), rng.uniform(0.018, 0.036), 0.0)
    if shape == "brick":
        half_width = rng.uniform(0.014, 0.019)
        return BOX, (min(half_width * rng.uniform(1.6, 2.1), 0.036), half_width, rng.uniform(0.013, 0.021))
    if shape == "plate":
        return CYLINDER, (rng.uniform(0.060, 0.090), rng.uniform(0.005, 0.007), 0.0)
    if rng.random() < 0.5:
        half = rng.uniform(0.020, 0.030)
        return BOX, (half, half, rng.uniform(0.060, 0.120))
    return BOX, (rng.uniform(0.045, 0.060), rng.uniform(0.030, 0.045), rng.uniform(0.020, 0.040))


def _nameless(rng: np.random.Generator) -> Prop:
    """Eggs, pens, sticks and flat marks: things that no word of the vocabulary fits."""
    colour, rgba = _colour(rng)
    kind = ("egg", "pen", "stick", "mark")[int(rng.integers(4))]
    if kind == "egg":
        half = rng.uniform(0.016, 0.022)
        geom, size = EGG, (half * rng.uniform(1.5, 2.0), half, half * rng.uniform(0.8, 1.1))
    elif kind == "pen":
        geom, size = PEN, (rng.uniform(0.005, 0.008), rng.uniform(0.045, 0.065), 0.0)
    elif kind == "stick":
        geom, size = BOX, (rng.uniform(0.050, 0.075), rng.uniform(0.006, 0.009), rng.uniform(0.006, 0.010))
    else:
        geom, size = BOX, (rng.uniform(0.02, 0.06), rng.uniform(0.02, 0.06), 0.0005)
    yaw = float(rng.uniform(-np.pi, np.pi))
    return Prop(f"{colour} {kind}", geom, size, (0.0, 0.0, 0.0), rgba, yaw, lying=kind == "pen")


def _tower(rng: np.random.Generator) -> tuple[Prop, Prop]:
    """A block and a thing on top of it, both to be named, of two colours."""
    spot = np.array([rng.uniform(*TABLE_X_M), rng.uniform(*TABLE_Y_M)])
    half_width, half_height = rng.uniform(0.042, 0.055), rng.uniform(0.025, 0.045)
    colour, rgba = _colour(rng)
    block = Prop(f"{colour} box", BOX, (half_width, half_width, half_height), (0.0, 0.0, 0.0), rgba)
    block = _standing(replace(block, yaw_rad=float(rng.uniform(-0.4, 0.4))), spot)
    while True:
        top = _named(rng, ("cube", "cylinder", "brick")[int(rng.integers(3))])
        if top.name.split()[0] != colour:
            return block, _standing(top, spot + rng.uniform(-0.01, 0.01, 2), 2.0 * half_height)


def _colour(rng: np.random.Generator) -> tuple[str, tuple[float, float, float, float]]:
    if rng.random() < GREY_SHARE:
        names = list(GREYS)
        name = names[int(rng.integers(len(names)))]
        level = float(rng.uniform(*GREYS[name]))
        return name, (level, level, level, 1.0)
    names = list(HUES_DEG)
    name = names[int(rng.integers(len(names)))]
    hue = HUES_DEG[name] + rng.uniform(-HUE_SPREAD_DEG, HUE_SPREAD_DEG)
    red, green, blue = _rgb(hue, rng.uniform(*SATURATION), rng.uniform(*VALUE))
    return name, (red, green, blue, 1.0)


def _rgb(hue_deg: float, saturation: float, value: float) -> tuple[float, float, float]:
    def channel(n: int) -> float:
        k = (n + hue_deg / 60.0) % 6.0
        return float(value * (1.0 - saturation * max(0.0, min(k, 4.0 - k, 1.0))))

    return channel(5), channel(3), channel(1)


def _standing(prop: Prop, spot: np.ndarray, surface_m: float = 0.0) -> Prop:
    height = surface_m + prop.half_height_m + LAYER_M
    return replace(prop, position_m=(float(spot[0]), float(spot[1]), float(height)))


def _free_spot(rng: np.random.Generator, prop: Prop, taken: list[Prop]) -> np.ndarray | None:
    for _ in range(ATTEMPTS // 10):
        spot = np.array([rng.uniform(*TABLE_X_M), rng.uniform(*TABLE_Y_M)])
        if all(np.linalg.norm(spot - t.position_m[:2]) > prop.reach_m + t.reach_m + GAP_M for t in taken):
            return spot
    return None


def _arm(rng: np.random.Generator, seed: int, props: tuple[Prop, ...]) -> SceneLayout:
    """The hand at home or somewhere over the table, never inside a thing."""
    width = float(rng.uniform(0.0, 0.08))
    if rng.random() < REACHING_SHARE:
        for _ in range(ATTEMPTS):
            tcp = (rng.uniform(0.40, 0.62), rng.uniform(-0.25, 0.25), rng.uniform(0.13, 0.30))
            tops = [p.position_m[2] + p.half_height_m for p in props if _below(p, tcp)]
            if tcp[2] > max(tops, default=0.0) + 0.03:
                return SceneLayout("perception", seed, (), home_tcp_m=tcp, home_gripper_width_m=width)
    home = (0.40 + rng.uniform(-0.03, 0.03), rng.uniform(-0.04, 0.04), 0.32 + rng.uniform(0.0, 0.03))
    return SceneLayout("perception", seed, (), home_tcp_m=home, home_gripper_width_m=width)


def _below(prop: Prop, tcp: tuple[float, float, float]) -> bool:
    """The hand is 0.2 m wide."""
    return bool(np.hypot(prop.position_m[0] - tcp[0], prop.position_m[1] - tcp[1]) < prop.reach_m + 0.12)


def _lighting(rng: np.random.Generator) -> Lighting:
    """From a lamp alone to light from all around; together about as bright as the simulator's own."""
    brightness = rng.uniform(0.75, 1.2)
    shares = rng.dirichlet([3.0, 2.5, 2.5])
    direction = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.8, 0.8)), -1.0)
    ambient, headlight, lamp = (float(1.2 * brightness * share) for share in shares)
    return Lighting(max(ambient, 0.2), headlight, lamp, direction)


def _noise(rng: np.random.Generator) -> CameraNoise:
    """One to two times the simulator's usual, and often a blurred picture."""
    usual, scale = CameraNoise(), rng.uniform(1.0, 2.0)
    return CameraNoise(
        color_sigma=usual.color_sigma * scale,
        gain_sigma=usual.gain_sigma,
        depth_sigma_m=usual.depth_sigma_m * scale,
        depth_sigma_per_m2=usual.depth_sigma_per_m2 * scale,
        depth_step_m=usual.depth_step_m,
        dropout=usual.dropout * scale,
        edge_dropout=float(rng.uniform(0.4, 0.8)),
        blur_px=float(rng.uniform(1.5, 4.0)) if rng.random() < BLURRED_SHARE else 0.0,
    )
