"""Planner and advisor behind any OpenAI-compatible server (vLLM, llama.cpp, Ollama, cloud), by the official client.

The server's answer is text from outside: it is bounded in time and size while it arrives, read as JSON and judged by
the checker like any other document.  What goes wrong ends in a BackEndFailure that names the reason.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import MissingExtra
from vls_steering.vlm.base import BackEndFailure, Failure, PlanAnswer, PlanRequest, Question
from vls_steering.vlm.chat import (
    Message,
    asked_again,
    chosen_option,
    find_json,
    question_messages,
    write_answer,
)
from vls_steering.vlm.prompt import FormChoice, choice_schema

if TYPE_CHECKING:
    from openai import OpenAI

# How servers say that they know no schemas.
_UNSUPPORTED = (400, 404, 415, 422)


class OpenAISettings(Settings):
    """Where the model is and how long it may take."""

    base_url: str = Field("http://localhost:8000/v1", description="Root of the OpenAI-compatible server")
    model: str = Field("default", description="Model name as the server knows it")
    form: FormChoice = Field("auto", description="What it writes: auto, outline (small models) or program")
    timeout_s: float = Field(20.0, gt=0, le=600, description="Longest wait for one whole answer, s")
    temperature: float = Field(0.7, ge=0, le=2, description="Sampling temperature of all answers but the first")
    max_tokens: int = Field(3000, ge=100, le=32000, description="Longest answer, tokens")
    max_bytes: int = Field(400_000, ge=10_000, le=50_000_000, description="Longest answer on the wire, bytes")
    api_key_variable: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key, if any")
    send_image: bool = Field(True, description="Show the model the camera's picture with the numbered objects")


class OpenAIPlanner:
    """Asks a served model; once more when its answer holds no JSON object."""

    varies = True

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings
        self._client = _client(settings)
        # Until the server says that it knows no schemas.
        self._structured = True

    @property
    def name(self) -> str:
        return f"openai:{self._settings.model}"

    def write(self, request: PlanRequest) -> PlanAnswer:
        """One answer; the first of an instruction is the model's likeliest, later ones are drawn."""
        image = request.image if self._settings.send_image else None
        ask = partial(self._document, turn=request.turn)
        return write_answer(request, self._settings.form, image, self.name, ask)

    def choose(self, question: Question) -> str:
        image = question.image if self._settings.send_image else None
        messages = question_messages(question, image)
        document = self._document(messages, choice_schema(question.options), question.turn)
        return chosen_option(document, question, self.name)

    def _document(self, messages: Sequence[Message], schema: dict[str, Any], turn: int) -> dict[str, Any]:
        text = ""
        for _ in range(2):
            text = self._ask(messages, schema, turn)
            document = find_json(text)
            if document is not None:
                return document
            messages = asked_again(messages, text)
        raise BackEndFailure(self.name, Failure.NO_JSON, f"twice; it began {text[:80]!r}")

    def _ask(self, messages: Sequence[Message], schema: dict[str, Any], turn: int) -> str:
        import openai

        options: dict[str, Any] = {
            "model": self._settings.model,
            "messages": [_wire(message) for message in messages],
            "temperature": self._settings.temperature if turn else 0.0,
            "max_tokens": self._settings.max_tokens,
            "seed": turn,
        }
        try:
            if self._structured:
                named = {"name": "answer", "strict": True, "schema": schema}
                try:
                    return self._complete({**options, "response_format": {"type": "json_schema", "json_schema": named}})
                except openai.APIStatusError as error:
                    if error.status_code not in _UNSUPPORTED:
                        raise
                    self._structured = False
            return self._complete(options)
        except BackEndFailure:
            raise
        except Exception as error:  # noqa: BLE001 - the border to the client, whose transport raises errors of its own
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> BackEndFailure:
        """Every way in which a request can fail, by name."""
        import openai

        if isinstance(error, openai.APITimeoutError) or "timeout" in type(error).__name__.lower():
            detail = f"within {self._settings.timeout_s:g} s"
            return BackEndFailure(self.name, Failure.TIMED_OUT, detail, "Raise timeout_s or use a smaller model")
        if isinstance(error, openai.APIStatusError):
            return BackEndFailure(self.name, Failure.HTTP_ERROR, f"HTTP {error.status_code}", "See the server's log")
        if isinstance(error, openai.APIConnectionError):
            cause = error.__cause__
            # Refused or not found: nobody is there.  Anything else happened while the answer was on its way.
            reached = cause is not None and type(cause).__name__ != "ConnectError"
            failure = Failure.BROKEN_OFF if reached else Failure.UNREACHABLE
            return BackEndFailure(self.name, failure, self._settings.base_url, "Is the server running?")
        return BackEndFailure(self.name, Failure.BROKEN_OFF, type(error).__name__, "See the server's log")

    def _complete(self, options: dict[str, Any]) -> str:
        """The answer's text, read as it arrives: a server that drips or floods is left."""
        give_up_s = time.monotonic() + self._settings.timeout_s
        create: Callable[..., Any] = self._client.chat.completions.with_streaming_response.create
        body = bytearray()
        with create(**options) as response:
            for part in response.iter_bytes():
                body += part
                if len(body) > self._settings.max_bytes:
                    raise BackEndFailure(self.name, Failure.TOO_LONG, f"over {self._settings.max_bytes} bytes")
                if time.monotonic() > give_up_s:
                    raise BackEndFailure(self.name, Failure.TIMED_OUT, f"within {self._settings.timeout_s:g} s")
        return self._content(bytes(body))

    def _content(self, body: bytes) -> str:
        try:
            choices = json.loads(body)["choices"]
            if choices == []:
                raise BackEndFailure(self.name, Failure.NO_CHOICE)
            content = choices[0]["message"]["content"]
            finish = choices[0].get("finish_reason")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            raise BackEndFailure(self.name, Failure.NOT_A_COMPLETION, f"{len(body)} bytes") from None
        if not isinstance(content, str):
            raise BackEndFailure(self.name, Failure.NOT_A_COMPLETION, "its message has no text")
        if finish == "length" and find_json(content) is None:
            cure = "Raise max_tokens, or ask for the outline"
            raise BackEndFailure(self.name, Failure.CUT_OFF, f"after {self._settings.max_tokens} tokens", cure)
        return content


def _client(settings: OpenAISettings) -> OpenAI:
    try:
        from openai import OpenAI
    except ImportError as error:
        raise MissingExtra("the OpenAI client", "openai") from error
    # Local servers want no key, the client wants a word.
    key = os.environ.get(settings.api_key_variable) or "none"
    return OpenAI(base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=0)


def _wire(message: Message) -> dict[str, Any]:
    """A message in the API's own words."""
    if message.image is None:
        return {"role": message.role, "content": message.text}
    url = {"url": _data_url(message.image)}
    content = [{"type": "text", "text": message.text}, {"type": "image_url", "image_url": url}]
    return {"role": message.role, "content": content}


def _data_url(image: np.ndarray) -> str:
    encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1]
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
