"""Every scene for cameras and sentences can be held by every node that simulates, in a layout that is proven."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("rclpy")

from vls_steering.bench.suites import SHIFTS, asked_for
from vls_steering.core.config import choices, parse_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.nodes import sim_bridge
from vls_steering.nodes.demo_options import DemoOptions
from vls_steering.nodes.node_set import Deployment
from vls_steering.nodes.parameters import describe
from vls_steering.nodes.sim_layout import SceneSettings
from vls_steering.sim.oracle import Oracle
from vls_steering.sim.scene_names import CAMERA_SCENES, SCENE_NAMES
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World

UNSEEN = set(SCENE_NAMES) - set(CAMERA_SCENES)


@pytest.fixture(scope="module")
def world() -> World:
    return World(draw_layout("play", 0))


@pytest.mark.parametrize("scene", CAMERA_SCENES)
def test_what_a_node_draws_is_what_was_asked_for_and_can_be_solved(scene: str, world: World) -> None:
    settings = SceneSettings(scene=scene, seed=3, target="blue cube")
    layout = settings.draw(world)
    assert (layout.scene, layout.seed) == (scene, 3)
    assert Oracle(world).solution(layout, asked_for(scene, "blue cube")) is not None
    assert settings.draw(world) == layout


def test_a_layout_is_proven_for_what_the_benchmark_asks_for_there() -> None:
    for shift in SHIFTS:
        assert asked_for(shift.scene, "red cube").kind is shift.kind


ASKED = {
    "demo": lambda scene: DemoOptions(scene=scene).check(),
    "run and launch": lambda scene: parse_settings(Deployment, {"scene": scene}, "vls run"),
    "node": lambda scene: parse_settings(sim_bridge.NODE.settings, {"scene": scene}, "sim_bridge"),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_demo_launch_and_nodes_offer_the_same_scenes(asked: Callable[[str], object]) -> None:
    for scene in CAMERA_SCENES:
        asked(scene)
    for scene in (*UNSEEN, "kitchen"):
        with pytest.raises(ConfigurationError, match=", ".join(CAMERA_SCENES)):
            asked(scene)


def test_the_parameter_says_what_it_accepts() -> None:
    field = sim_bridge.NODE.settings.model_fields["scene"]
    assert choices(field) == CAMERA_SCENES
    assert describe("scene", field).additional_constraints == f"one of: {', '.join(CAMERA_SCENES)}"


def test_the_protocol_arm_holds_the_same_scenes() -> None:
    pytest.importorskip("franka_sim")
    from vls_steering.nodes.protocol_arm import ProtocolArmSettings

    assert issubclass(ProtocolArmSettings, SceneSettings)
    assert issubclass(sim_bridge.SimBridgeSettings, SceneSettings)
