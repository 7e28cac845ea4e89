"""The tree of frames: fixed, moving, interpolated, and honest about what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vls_steering.core.errors import StreamFault
from vls_steering.core.transforms import Transform, TransformTree

UPRIGHT = (0.0, 0.0, 0.0, 1.0)


def placed(parent: str, child: str, position: tuple[float, ...], quat: tuple[float, ...] = UPRIGHT) -> Transform:
    return Transform(parent, child, np.array(position), np.array(quat))


def about_z(angle_rad: float) -> tuple[float, ...]:
    return tuple(Rotation.from_euler("z", angle_rad).as_quat())


def test_a_chain_is_composed_from_the_frame_up_to_the_base() -> None:
    tree = TransformTree()
    tree.put(placed("base", "arm", (1.0, 0.0, 0.0), about_z(np.pi / 2)), 0.0, fixed=True)
    tree.put(placed("arm", "camera", (0.5, 0.0, 0.0)), 5.0)
    np.testing.assert_allclose(tree.look_up("base", "camera", 5.0)[:3, 3], [1.0, 0.5, 0.0], atol=1e-12)


def test_frames_of_two_branches_meet_at_the_nearest_common_one() -> None:
    tree = TransformTree()
    tree.put(placed("world", "base", (0.0, 0.0, 1.0)), 0.0, fixed=True)
    tree.put(placed("world", "camera", (0.0, 0.0, 3.0)), 0.0, fixed=True)
    np.testing.assert_allclose(tree.look_up("base", "camera", 9.0)[:3, 3], [0.0, 0.0, 2.0])
    np.testing.assert_allclose(tree.look_up("camera", "base", 9.0)[:3, 3], [0.0, 0.0, -2.0])


def test_between_two_instants_place_and_turn_are_interpolated() -> None:
    tree = TransformTree()
    for stamp_s, angle_rad in ((1.0, 0.0), (1.02, 0.1)):
        tree.put(placed("base", "hand", (10 * stamp_s, 0.0, 0.0), about_z(angle_rad)), stamp_s)
    pose = tree.look_up("base", "hand", 1.005)
    np.testing.assert_allclose(pose[:3, 3], [10.05, 0.0, 0.0])
    assert Rotation.from_matrix(pose[:3, :3]).magnitude() == pytest.approx(0.025, abs=1e-4)


def test_a_quaternion_and_its_negative_are_the_same_turn() -> None:
    tree = TransformTree()
    tree.put(placed("base", "hand", (0.0, 0.0, 0.0), UPRIGHT), 1.0)
    tree.put(placed("base", "hand", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, -1.0)), 1.02)
    np.testing.assert_allclose(tree.look_up("base", "hand", 1.01), np.eye(4), atol=1e-12)


def test_a_little_beyond_the_last_word_counts_and_more_does_not() -> None:
    tree = TransformTree(reach_s=0.05)
    tree.put(placed("base", "hand", (1.0, 0.0, 0.0)), 1.0)
    for stamp_s in (0.96, 1.04):
        assert tree.look_up("base", "hand", stamp_s)[0, 3] == 1.0
    for stamp_s in (0.94, 1.06):
        with pytest.raises(StreamFault, match=r"hand is known only 0\.060 s before or after"):
            tree.look_up("base", "hand", stamp_s)


def test_what_is_not_connected_is_said_with_what_is_known() -> None:
    tree = TransformTree()
    with pytest.raises(StreamFault, match="frames known: none"):
        tree.look_up("base", "camera", 0.0)
    tree.put(placed("base", "arm", (0.0, 0.0, 0.0)), 0.0)
    with pytest.raises(StreamFault, match="camera and base are not connected; frames known: arm, base"):
        tree.look_up("base", "camera", 0.0)


def test_frames_in_a_circle_end_in_an_answer_not_in_a_loop() -> None:
    tree = TransformTree()
    tree.put(placed("a", "b", (0.0, 0.0, 0.0)), 0.0, fixed=True)
    tree.put(placed("b", "a", (0.0, 0.0, 0.0)), 0.0, fixed=True)
    with pytest.raises(StreamFault, match="not connected"):
        tree.look_up("base", "a", 0.0)


def test_a_clock_that_is_set_back_starts_another_history() -> None:
    tree = TransformTree()
    tree.put(placed("base", "hand", (1.0, 0.0, 0.0)), 100.0)
    tree.put(placed("base", "hand", (2.0, 0.0, 0.0)), 1.0)
    assert tree.look_up("base", "hand", 1.0)[0, 3] == 2.0
    with pytest.raises(StreamFault):
        tree.look_up("base", "hand", 100.0)


def test_only_so_much_is_kept() -> None:
    tree = TransformTree(kept_s=1.0)
    for stamp_s in np.arange(0.0, 10.0, 0.01):
        tree.put(placed("base", "hand", (0.0, 0.0, 0.0)), float(stamp_s))
    assert 100 <= len(tree._tracks["hand"].stamps_s) <= 102


def test_a_frame_gets_another_parent_when_it_is_told_one() -> None:
    tree = TransformTree()
    tree.put(placed("base", "cube", (1.0, 0.0, 0.0)), 1.0)
    tree.put(placed("hand", "cube", (3.0, 0.0, 0.0)), 1.01)
    assert tree.look_up("hand", "cube", 1.01)[0, 3] == 3.0
