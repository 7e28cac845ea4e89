"""Planner and advisor that run a model in this process, by `transformers`: one that sees pictures, or a small text one.

Weights are safetensors from a folder or the Hub; code that comes with a model is never run.  Answers are decoded under
their schema, so that what comes out is JSON of the right shape whatever the model's size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, MissingExtra
from vls_steering.vlm.base import BackEndFailure, Failure, PlanAnswer, PlanRequest, Question
from vls_steering.vlm.chat import Message, chosen_option, find_json, question_messages, write_answer
from vls_steering.vlm.decoding import Pieces, SchemaProcessor
from vls_steering.vlm.prompt import FormChoice, choice_schema

# Tokens to draw from, where an answer is to vary.
_SAMPLED_FROM = 8


class TransformersSettings(Settings):
    """Which model, and how long it may take."""

    model: str = Field("", description="Folder with the weights, or name on the Hugging Face Hub")
    device: str = Field("auto", description="torch device; auto: the GPU where there is one")
    form: FormChoice = Field("auto", description="What it writes: auto, outline (small models) or program")
    timeout_s: float = Field(60.0, gt=0, le=600, description="Longest wait for one whole answer, s")
    temperature: float = Field(0.7, gt=0, le=2, description="Sampling temperature of all answers but the first")
    max_tokens: int = Field(1500, ge=16, le=32000, description="Longest answer, tokens")
    send_image: bool = Field(True, description="Show a vision-language model the picture with the numbered objects")


class TransformersPlanner:
    """One model, loaded at construction; raises ConfigurationError when it cannot be."""

    varies = True

    def __init__(self, settings: TransformersSettings) -> None:
        self._settings = settings
        self._model, self._processor, self._sees = _load(settings)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        # One answer at a time: advice and a new instruction may ask at once.
        self._one_at_a_time = threading.Lock()
        self._end = int(self._tokenizer.eos_token_id)
        anchor = self._tokenizer.encode("{", add_special_tokens=False)[-1]
        self._pieces = Pieces(len(self._tokenizer), self._decode, anchor)

    @property
    def name(self) -> str:
        # A folder's own name is enough: logs go to other machines.
        return f"transformers:{Path(self._settings.model).name}"

    def write(self, request: PlanRequest) -> PlanAnswer:
        """One answer; the first of an instruction is the model's likeliest, later ones are drawn."""
        image = request.image if self._sees and self._settings.send_image else None
        ask = partial(self._document, turn=request.turn)
        return write_answer(request, self._settings.form, image, self.name, ask)

    def choose(self, question: Question) -> str:
        image = question.image if self._sees and self._settings.send_image else None
        document = self._document(question_messages(question, image), choice_schema(question.options), question.turn)
        return chosen_option(document, question, self.name)

    def _document(self, messages: Sequence[Message], schema: dict[str, Any], turn: int) -> dict[str, Any]:
        began_s = time.monotonic()
        text = self._generate(messages, schema, turn)
        document = find_json(text)
        if document is not None:
            return document
        if time.monotonic() - began_s >= self._settings.timeout_s:
            detail = f"within {self._settings.timeout_s:g} s"
            raise BackEndFailure(self.name, Failure.TIMED_OUT, detail, "Raise timeout_s or use a smaller model")
        raise BackEndFailure(self.name, Failure.CUT_OFF, f"it began {text[:80]!r}", "Raise max_tokens")

    def _generate(self, messages: Sequence[Message], schema: dict[str, Any], turn: int) -> str:
        inputs = self._encode(messages).to(self._model.device)
        prompt = int(inputs["input_ids"].shape[1])
        sampling = {"do_sample": True, "temperature": self._settings.temperature} if turn else {"do_sample": False}
        keep = _SAMPLED_FROM if turn else 1
        processor = SchemaProcessor(schema, self._pieces, self._end, prompt, keep)
        # A seed of its own for every answer, and nobody else's random numbers disturbed.
        with self._one_at_a_time, torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(turn)
            output = self._model.generate(
                **inputs,
                **sampling,
                logits_processor=[processor],
                max_new_tokens=self._settings.max_tokens,
                max_time=self._settings.timeout_s,
                eos_token_id=self._end,
                pad_token_id=self._end,
            )
        return self._pieces(output[0, prompt:].tolist())

    def _encode(self, messages: Sequence[Message]) -> Any:
        conversation = [_turn(message, self._sees) for message in messages]
        options = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True}
        return self._processor.apply_chat_template(conversation, **options)

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _load(settings: TransformersSettings) -> tuple[Any, Any, bool]:
    """(model, processor, whether it sees pictures)."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra("transformers", "vlm") from error
    if not settings.model:
        raise ConfigurationError("the transformers back end has no model", "Set transformers.model")
    device = settings.device if settings.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    safe = {"trust_remote_code": False}
    model: Any
    try:
        config = transformers.AutoConfig.from_pretrained(settings.model, **safe)
        sees = hasattr(config, "vision_config")
        loader = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
        reader = transformers.AutoProcessor if sees else transformers.AutoTokenizer
        processor = reader.from_pretrained(settings.model, **safe)
        model = loader.from_pretrained(settings.model, use_safetensors=True, dtype="auto", **safe)
        model = model.eval().to(device)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"the model {settings.model!r} cannot be loaded: {first_line}", "Give a folder with config and safetensors"
        ) from error
    tokenizer = getattr(processor, "tokenizer", processor)
    if getattr(processor, "chat_template", None) is None and getattr(tokenizer, "chat_template", None) is None:
        raise ConfigurationError(f"the model {settings.model!r} has no chat template", "Use an instruct model")
    return model, processor, sees


def _turn(message: Message, sees: bool) -> dict[str, Any]:
    """A message in the template's own words: parts for models that see, plain text for others."""
    if not sees:
        return {"role": message.role, "content": message.text}
    content: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
    if message.image is not None:
        from PIL import Image

        content.insert(0, {"type": "image", "image": Image.fromarray(message.image)})
    return {"role": message.role, "content": content}
