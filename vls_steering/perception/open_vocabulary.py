"""Objects by their names: a zero-shot detector draws boxes, SAM turns boxes into masks, depth lifts masks.

Grounding DINO (arXiv 2303.05499) or OWLv2 (arXiv 2306.09683), then SAM (arXiv 2304.02643) or SAM 2 (arXiv 2408.00714),
as `transformers` has them.  Weights come from a folder or the Hub; code that comes with a model is never run.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, MissingExtra
from vls_steering.perception.detection import Detection
from vls_steering.perception.lift import LiftedFrame, MaskImage
from vls_steering.perception.plane import SupportPlane

TRIM_PERCENT = 2.0  # of the points on either side: a mask's rim lies on what is behind
STANDS_M = 0.03  # an object whose lowest points are nearer than this to the plane stands on it


class OpenVocabularySettings(Settings):
    prompts: tuple[str, ...] = Field((), description="what to look for, in words: 'red cube', 'mug'; also their names")
    detector: str = Field("", description="Grounding DINO or OWLv2: folder with the weights, or name on the Hub")
    masks: str = Field("", description="SAM or SAM 2: folder with the weights, or name on the Hub")
    device: str = Field("cpu", description="torch device")
    threshold: float = Field(0.3, ge=0.0, le=1.0, description="least confidence of a box")
    overlap_max: float = Field(0.7, ge=0.0, le=1.0, description="masks that share more than this are one object")
    points_min: int = Field(24, ge=4, le=10000, description="pixels with a depth that an object needs")


@dataclass(frozen=True)
class Box:
    """One answer of the detector."""

    name: str  # one of the prompts
    score: float
    corners: NDArray[np.float32]  # (4,) pixels: left, top, right, bottom


class OpenVocabularySegmenter:
    """Segmenter; loads its models at construction and raises ConfigurationError when they cannot be."""

    def __init__(self, settings: OpenVocabularySettings) -> None:
        if not settings.prompts:
            raise ConfigurationError("open_vocabulary.prompts is empty", "Name what to look for")
        self._settings = settings
        self._detector, self._detector_processor = _load("detector", settings.detector, settings.device)
        self._masker, self._mask_processor = _load("masks", settings.masks, settings.device)

    def segment(self, view: LiftedFrame, plane: SupportPlane, robot: MaskImage) -> tuple[Detection, ...]:
        """Best boxes first; a later mask that repeats an earlier one is dropped."""
        boxes = sorted(self.boxes(view.frame.color), key=lambda box: -box.score)
        kept: list[MaskImage] = []
        found = []
        for box, mask in zip(boxes, self.masks(view.frame.color, boxes), strict=True):
            if any(_overlap(mask, other) > self._settings.overlap_max for other in kept):
                continue
            kept.append(mask)
            detection = self._lifted(box.name, mask & view.valid & ~robot, view, plane)
            if detection is not None:
                found.append(detection)
        return tuple(found)

    def boxes(self, color: NDArray[np.uint8]) -> list[Box]:
        """What the detector sees in (H, W, 3) RGB; answers that are none of the prompts are dropped."""
        import torch

        settings, processor = self._settings, self._detector_processor
        prompts = [list(settings.prompts)]
        inputs = processor(images=color, text=prompts, return_tensors="pt").to(settings.device)
        with torch.inference_mode():
            outputs = self._detector(**inputs)
        post_process = processor.post_process_grounded_object_detection
        given = {"threshold": settings.threshold, "target_sizes": [color.shape[:2]], "text_labels": prompts}
        # Grounding DINO marks words, not prompts, and needs them back.
        if "input_ids" in inspect.signature(post_process).parameters:
            given |= {"input_ids": inputs["input_ids"], "text_threshold": settings.threshold}
        result = post_process(outputs, **given)[0]
        named = zip(result["text_labels"], result["scores"].tolist(), result["boxes"].cpu().numpy(), strict=True)
        return [Box(name, score, box) for text, score, box in named if (name := _prompt_of(text, settings.prompts))]

    def masks(self, color: NDArray[np.uint8], boxes: list[Box]) -> list[MaskImage]:
        """One (H, W) mask for each box."""
        if not boxes:
            return []
        import torch

        corners = [[box.corners.tolist() for box in boxes]]
        inputs = self._mask_processor(images=color, input_boxes=corners, return_tensors="pt").to(self._settings.device)
        sizes = [inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
        with torch.inference_mode():
            outputs = self._masker(**inputs, multimask_output=False)
        masks = self._mask_processor.post_process_masks(outputs.pred_masks.cpu(), *sizes)[0]
        return [np.asarray(mask[0], dtype=np.bool_) for mask in masks]

    def _lifted(self, name: str, mask: MaskImage, view: LiftedFrame, plane: SupportPlane) -> Detection | None:
        points = view.points[mask]
        if len(points) < self._settings.points_min:
            return None
        lower, upper = np.percentile(points, [TRIM_PERCENT, 100.0 - TRIM_PERCENT], axis=0)
        heights = plane.height_of(points)
        stands = bool(np.percentile(heights, TRIM_PERCENT) < STANDS_M)
        if stands:
            # Its lower end is where the plane is, below what a camera from above sees of it.
            lower[2] = min(lower[2], float(np.median(points[:, 2] - heights)))
        colour, _, shape = name.rpartition(" ")
        rows, columns = np.nonzero(mask)
        height, width = mask.shape
        whole = min(rows.min(), columns.min()) > 0 and rows.max() < height - 1 and columns.max() < width - 1
        free = np.full((2, 2), whole)
        return Detection(colour, shape, view.frame.camera, mask, points, lower, upper, free, stands)


def _prompt_of(text: str, prompts: tuple[str, ...]) -> str:
    """The prompt that an answer means: the same, or the one alone that holds all of its words; empty when none."""
    if text in prompts:
        return text
    words = set(text.split())
    holding = [prompt for prompt in prompts if words and words <= set(prompt.split())]
    return holding[0] if len(holding) == 1 else ""


def _overlap(a: MaskImage, b: MaskImage) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def _load(which: str, name: str, device: str) -> tuple[Any, Any]:
    """(model, processor)."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra("transformers", "vlm") from error
    if not name:
        raise ConfigurationError(
            f"open_vocabulary.{which} is empty", "Give a folder with weights, or a name on the Hub"
        )
    kind = {
        "detector": transformers.AutoModelForZeroShotObjectDetection,
        "masks": transformers.AutoModelForMaskGeneration,
    }[which]
    try:
        model = kind.from_pretrained(name, trust_remote_code=False, use_safetensors=True)
        reader: Any = transformers.AutoProcessor
        processor = reader.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")
        raise ConfigurationError(
            f"open_vocabulary.{which} {name!r} cannot be loaded: {reason}",
            "Name a folder that save_pretrained wrote (model and processor), or a model of that kind on the Hub",
        ) from error
    return model.to(device).eval(), processor
