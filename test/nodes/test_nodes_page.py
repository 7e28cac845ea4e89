"""docs/nodes.md is what the definitions say, and what it says of a node is what the node opens."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("rclpy")

from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.manager import NODE as MANAGER
from vls_steering.nodes.node_set import NODES, Deployment
from vls_steering.nodes.parameters import flatten
from vls_steering.nodes.perception import NODE as PERCEPTION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nodes_page", ROOT / "docs" / "figures" / "nodes_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(generator: ModuleType) -> str:
    text: str = generator.render()
    return text


def test_the_page_is_up_to_date(page: str) -> None:
    assert (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8") == page, "run `make docs`"


def test_it_has_every_node_topic_parameter_and_launch_argument(generator: ModuleType, page: str) -> None:
    wanted = [entry.name for entry in NODES] + [topic.name for topic in generator.all_topics()]
    wanted += [name for entry in NODES for name, _ in flatten(generator.settings_of(entry))]
    wanted += [*Deployment.model_fields, "use_rviz"]
    wanted += [value for name, value in vars(topics).items() if name.endswith(("_SERVICE", "_ACTION"))]
    assert [name for name in wanted if f"| `{name}` |" not in page] == []


def test_every_topic_has_a_publisher_but_the_one_for_people(generator: ModuleType) -> None:
    ends = [generator.ends_of(entry.name) for entry in NODES]
    published = set().union(*(end.publishes for end in ends))
    assert {topic.name for topic in generator.all_topics()} - published <= {"estop"}


def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: str) -> None:
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block.splitlines()[0]


@pytest.mark.ros
@pytest.mark.parametrize("definition", [PERCEPTION, MANAGER], ids=lambda definition: definition.name)
def test_what_a_node_opens_is_on_the_page(ros: None, generator: ModuleType, definition: Any) -> None:
    ends = generator.ends_of(definition.name)
    node = RoomNode(definition)
    try:
        node.trigger_configure()
        node.trigger_activate()
        published = {publisher.topic_name.strip("/") for publisher in node.publishers}
        subscribed = {subscription.topic_name.strip("/") for subscription in node.subscriptions}
        served = {service.srv_name.strip("/") for service in node.services}
    finally:
        node.trigger_shutdown()
        node.destroy_node()
    # What rclpy and every RoomNode open.
    published -= {"diagnostics", "rosout", "parameter_events", f"{definition.name}/transition_event"}
    subscribed -= {"clock", "parameter_events"}
    camera = generator.CAMERA, topics.CAMERA_NAMESPACES["front"]
    assert published
    assert published <= {name.replace(*camera).strip("/") for name in ends.publishes}
    assert subscribed
    assert subscribed <= {name.replace(*camera).strip("/") for name in ends.subscribes}
    assert set(ends.serves) <= served
