"""Planner behind any OpenAI-compatible server (vLLM, llama.cpp, Ollama, cloud), by the official client.

The server's answer is text from outside: it is read as JSON and judged by the checker like any other document.
Every request is bounded in time and number; what goes wrong ends in a Refusal that says so.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import MissingExtra, Refusal
from vls_steering.vlm.base import PlanAnswer, PlanRequest
from vls_steering.vlm.prompt import answer_schema, repair_text, request_text, system_prompt

if TYPE_CHECKING:
    from openai import OpenAI

_UNSUPPORTED = (400, 404, 415, 422)


class OpenAISettings(Settings):
    """Where the model is and how long it may take."""

    base_url: str = Field("http://localhost:8000/v1", description="Root of the OpenAI-compatible server")
    model: str = Field("default", description="Model name as the server knows it")
    timeout_s: float = Field(30.0, gt=0, le=600, description="Longest wait for one answer, s")
    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature")
    max_tokens: int = Field(3000, ge=100, le=32000, description="Longest answer, tokens")
    api_key_variable: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key, if any")
    send_image: bool = Field(True, description="Show the model the front camera's picture")


class OpenAIPlanner:
    """Asks a served model; once more when its answer holds no JSON object."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings
        self._client = _client(settings)
        # Until the server says that it knows no schemas.
        self._structured = True

    @property
    def name(self) -> str:
        return f"openai:{self._settings.model}"

    def write(self, request: PlanRequest) -> PlanAnswer:
        """One program; raises Refusal when the server fails, is late, or answers no JSON twice."""
        messages = self._messages(request)
        for _ in range(2):
            text = self._ask(messages)
            document = find_json(text)
            if document is not None:
                return self._answer(document)
            messages = [
                *messages,
                {"role": "assistant", "content": text[:2000]},
                {"role": "user", "content": "That holds no JSON object. Answer with the JSON object and nothing else."},
            ]
        raise Refusal(f"{self.name} answered no JSON object, twice", f"It began: {text[:120]!r}")

    def _answer(self, document: dict[str, Any]) -> PlanAnswer:
        refusal = document.pop("refusal", "")
        if isinstance(refusal, str) and refusal.strip() and not document.get("stages"):
            return PlanAnswer(None, refusal.strip()[:500], self.name)
        return PlanAnswer(_without_blanks(document), "", self.name)

    def _messages(self, request: PlanRequest) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = [{"type": "text", "text": request_text(request)}]
        if request.image is not None and self._settings.send_image:
            content.append({"type": "image_url", "image_url": {"url": _data_url(request.image)}})
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": system_prompt()},
            {"role": "user", "content": content},
        ]
        if request.rejected is not None:
            messages.append({"role": "assistant", "content": json.dumps(request.rejected)})
            messages.append({"role": "user", "content": repair_text(request)})
        return messages

    def _ask(self, messages: list[dict[str, Any]]) -> str:
        import openai

        try:
            return self._complete(messages)
        except openai.APITimeoutError as error:
            cure = "Raise vlm.timeout_s or use a smaller model"
            raise Refusal(f"{self.name} did not answer within {self._settings.timeout_s:g} s", cure) from error
        except openai.APIStatusError as error:
            raise Refusal(f"{self.name} answered with HTTP {error.status_code}", "See the server's log") from error
        except openai.OpenAIError as error:
            where = self._settings.base_url
            raise Refusal(f"{self.name} cannot be used at {where}: {error}", "Is the server running?") from error

    def _complete(self, messages: list[dict[str, Any]]) -> str:
        import openai

        if self._structured:
            schema = {"name": "reward_program", "strict": True, "schema": answer_schema()}
            try:
                return self._create(messages, response_format={"type": "json_schema", "json_schema": schema})
            except openai.APIStatusError as error:
                if error.status_code not in _UNSUPPORTED:
                    raise
                self._structured = False
        return self._create(messages)

    def _create(self, messages: list[dict[str, Any]], **options: Any) -> str:
        create: Any = self._client.chat.completions.create
        completion = create(
            model=self._settings.model,
            messages=messages,
            temperature=self._settings.temperature,
            max_tokens=self._settings.max_tokens,
            **options,
        )
        choices = getattr(completion, "choices", None) or ()
        return (choices[0].message.content or "") if choices else ""


def _client(settings: OpenAISettings) -> OpenAI:
    try:
        from openai import OpenAI
    except ImportError as error:
        raise MissingExtra("the OpenAI client", "openai") from error
    # Local servers want no key, the client wants a word.
    key = os.environ.get(settings.api_key_variable) or "none"
    return OpenAI(base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=0)


def find_json(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text that may have prose or a code fence around it."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(20):
        if at < 0:
            return None
        try:
            value, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        return value if isinstance(value, dict) else None
    return None


def _without_blanks(document: dict[str, Any]) -> dict[str, Any]:
    """A schema that lists every key makes models fill optional ones with "": leave those out."""
    stages = document.get("stages")
    if not isinstance(stages, list):
        return document
    kept = [{k: _plain(v) for k, v in s.items() if v not in ("", None)} if isinstance(s, dict) else s for s in stages]
    return {**document, "stages": kept}


def _plain(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [v["term"] if isinstance(v, dict) and v.get("phrase") == "" and "term" in v else v for v in value]


def _data_url(image: np.ndarray) -> str:
    encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1]
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
