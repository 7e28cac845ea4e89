"""What RViz is told about the keypoints."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.nodes.markers import keypoint_markers

SIZE = np.full(3, 0.04)
SEEN = Keypoint("red cube", np.array([0.5, 0.1, 0.02]), SIZE, sigma_m=np.full(3, 0.002))
REMEMBERED = Keypoint("blue cube", np.array([0.4, 0.0, 0.02]), SIZE, 1.5, False, np.array([0.03, 0.02, 0.01]))


def test_where_a_remembered_object_may_be_is_drawn_around_it() -> None:
    markers = keypoint_markers(Keypoints(1.0, (SEEN, REMEMBERED))).markers
    (cloud,) = [marker for marker in markers if marker.ns == "deviations"]
    assert (cloud.pose.position.x, cloud.pose.position.y) == (0.4, 0.0)
    assert (cloud.scale.x, cloud.scale.y, cloud.scale.z) == pytest.approx((0.12, 0.08, 0.04))
    assert [marker.text for marker in markers if marker.ns == "names"] == ["red cube", "blue cube"]
