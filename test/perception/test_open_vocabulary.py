"""The open-vocabulary segmenter through the real code path: tiny models of the real architectures, saved and loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")

from perception.pictures import RED, picture, standing
from perception.tiny_models import save_grounding_dino, save_owlv2, save_sam

from vls_steering.core.errors import ConfigurationError
from vls_steering.perception.lift import lift
from vls_steering.perception.open_vocabulary import Box, OpenVocabularySegmenter, OpenVocabularySettings
from vls_steering.perception.plane import find_support_plane
from vls_steering.perception.settings import PerceptionSettings

PROMPTS = ("red cube", "mug")
NO_ROBOT = np.zeros((240, 320), dtype=np.bool_)
SIDE_M = 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_owlv2(folder / "owlv2")
    save_grounding_dino(folder / "dino")
    save_sam(folder / "sam")
    return folder


def load(folder: Path, detector: str = "owlv2", **changes: object) -> OpenVocabularySegmenter:
    given = {"prompts": PROMPTS, "detector": str(folder / detector), "masks": str(folder / "sam"), **changes}
    return OpenVocabularySegmenter(OpenVocabularySettings.model_validate(given))


@pytest.fixture(scope="module")
def scene():  # type: ignore[no-untyped-def]
    view = lift(picture([standing(0.5, 0.0, (SIDE_M,) * 3, RED)], seed=0))
    settings = PerceptionSettings()
    return view, find_support_plane(view, settings.plane, settings.workspace, np.random.default_rng(0), None)


@pytest.mark.parametrize("detector", ["owlv2", "dino"])
def test_boxes_are_named_by_the_prompts_and_lie_in_the_picture(folder: Path, scene, detector: str) -> None:  # type: ignore[no-untyped-def]
    segmenter = load(folder, detector, threshold=0.0)
    boxes = segmenter.boxes(scene[0].frame.color)
    assert {box.name for box in boxes} <= set(PROMPTS)
    assert all(box.corners.shape == (4,) and 0.0 <= box.score <= 1.0 for box in boxes)
    masks = segmenter.masks(scene[0].frame.color, boxes[:2])
    assert all(mask.shape == (240, 320) and mask.dtype == np.bool_ for mask in masks)


def test_nothing_confident_is_an_empty_scene(folder: Path, scene) -> None:  # type: ignore[no-untyped-def]
    view, plane = scene
    assert load(folder, threshold=1.0).segment(view, plane, NO_ROBOT) == ()


def test_whatever_an_untrained_model_sees_is_a_list_of_detections(folder: Path, scene) -> None:  # type: ignore[no-untyped-def]
    view, plane = scene
    for detection in load(folder, threshold=0.0).segment(view, plane, NO_ROBOT):
        assert detection.name in PROMPTS
        assert (detection.upper >= detection.lower).all()


class Taught(OpenVocabularySegmenter):
    """Stands in for training: the cube's own pixels, named, and the same again with less confidence."""

    def boxes(self, color: np.ndarray) -> list[Box]:
        corners = np.array([0.0, 0.0, 1.0, 1.0], np.float32)
        return [Box("mug", 0.4, corners), Box("red cube", 0.9, corners)]

    def masks(self, color: np.ndarray, boxes: list[Box]) -> list[np.ndarray]:
        return [(color[..., 0] > 100) & (color[..., 1] < 60)] * len(boxes)


def test_a_mask_becomes_a_named_object_where_it_stands_and_only_once(folder: Path, scene) -> None:  # type: ignore[no-untyped-def]
    view, plane = scene
    settings = OpenVocabularySettings(prompts=PROMPTS, detector=str(folder / "owlv2"), masks=str(folder / "sam"))
    (cube,) = Taught(settings).segment(view, plane, NO_ROBOT)
    assert (cube.name, cube.grounded, cube.complete) == ("red cube", True, True)
    np.testing.assert_allclose(cube.upper[2], SIDE_M, atol=0.008)
    np.testing.assert_allclose(cube.lower[2], 0.0, atol=0.004)
    np.testing.assert_allclose(cube.centroid[:2], [0.5, 0.0], atol=0.02)


def test_the_robots_own_pixels_are_no_object(folder: Path, scene) -> None:  # type: ignore[no-untyped-def]
    view, plane = scene
    settings = OpenVocabularySettings(prompts=PROMPTS, detector=str(folder / "owlv2"), masks=str(folder / "sam"))
    assert Taught(settings).segment(view, plane, ~NO_ROBOT) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"detector": "/nowhere/dino"}, "detector '/nowhere/dino' cannot be loaded.*save_pretrained"),
        ({"masks": ""}, r"open_vocabulary\.masks is empty"),
        ({"prompts": ()}, r"open_vocabulary\.prompts is empty"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_the_cure(folder: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(folder, **change)


def test_a_model_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"detector.*cannot be loaded"):
        load(folder, "sam")


def test_the_offline_default_imports_no_transformers() -> None:
    code = "import sys, vls_steering.nodes.perception; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
