"""`vls check` as a pure function: a program's text in, a verdict and its wording out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.rewards.check import check_program
from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected
from vls_steering.rewards.dialect import GuidanceProgram, check_guidance, parse_guidance
from vls_steering.rewards.document import RewardProgram
from vls_steering.rewards.locate import Place, Source
from vls_steering.rewards.parse import load_json, parse_program, refuse_bulk
from vls_steering.rewards.verify import verify_program

# Files that hold guidance functions in the VLS format; VLS caches them as .txt.
GUIDANCE_SUFFIXES = (".py", ".txt")
_MOST_FAULTS = 20
# YAML nests a level with two characters, and its parser takes seconds over thousands of levels.
_COMPACT = re.compile(r"(?:[-?:]\s){4}")
# Without a scene, guidance functions are tried on keypoints as many as any cached program has indices for.
_SOMEWHERE = Keypoints(
    0.0,
    tuple(
        Keypoint(
            f"keypoint {i}", np.array([0.4 + 0.01 * i, 0.02 * (i % 7) - 0.06, 0.02 + 0.01 * (i % 3)]), np.full(3, 0.04)
        )
        for i in range(30)
    ),
)


@dataclass(frozen=True)
class Report:
    """The verdict on one program file."""

    file: str
    program: RewardProgram | GuidanceProgram | None
    diagnostics: tuple[Diagnostic, ...]
    text: str = ""

    @property
    def accepted(self) -> bool:
        return self.program is not None and not self.diagnostics

    @property
    def exit_code(self) -> ExitCode:
        """0 accepted, 3 rejected."""
        return ExitCode.SUCCESS if self.accepted else ExitCode.REFUSED

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "file": self.file,
            "accepted": self.accepted,
            "program_sha256": self.program.sha256 if self.program is not None else None,
            "diagnostics": [
                {**fault.as_dict(), "line": place.line if place else None, "column": place.column if place else None}
                for fault, place in self._placed()
            ],
        }

    def render(self) -> str:
        """For people: one paragraph per fault, the fault underlined in its line."""
        if self.accepted and self.program is not None:
            stages = ", ".join(repr(stage.name) for stage in self.program.stages)
            return f"{self.file}: accepted; stages: {stages}; sha256 {self.program.sha256[:12]}"
        count = len(self.diagnostics)
        paragraphs = [_paragraph(self.file, fault, place) for fault, place in self._placed()[:_MOST_FAULTS]]
        if count > _MOST_FAULTS:
            paragraphs.append(f"... and {count - _MOST_FAULTS} more")
        return "\n".join([*paragraphs, f"{self.file}: rejected, {count} fault{'s' if count != 1 else ''}"])

    def _placed(self) -> list[tuple[Diagnostic, Place | None]]:
        source = Source(self.text, placed=all(fault.line for fault in self.diagnostics))
        return [(fault, source.find(fault)) for fault in self.diagnostics]


def check_text(text: str, file: str, keypoints: Keypoints | None = None) -> Report:
    """Check the text of a `.json`, `.yaml` or `.yml` program, or of guidance functions in the VLS format (`.py`,
    `.txt`), against a scene when one is given; never raises."""
    try:
        if file.endswith(GUIDANCE_SUFFIXES):
            guidance = parse_guidance(text, keypoints.names if keypoints is not None else ())
            return Report(file, guidance, check_guidance(guidance, keypoints or _SOMEWHERE), text)
        document = _load_yaml(text) if file.endswith((".yaml", ".yml")) else load_json(text)
        program = parse_program(document)
    except ProgramRejected as rejection:
        return Report(file, None, rejection.diagnostics, text)
    faults = check_program(program, keypoints) if keypoints is not None else ()
    return Report(file, program, faults, text)


def verified(report: Report, keypoints: Keypoints) -> Report:
    """An accepted program rehearsed in the scene (verify.verify_program); other reports as they are."""
    if not report.accepted or not isinstance(report.program, RewardProgram):
        return report
    return replace(report, diagnostics=verify_program(report.program, keypoints))


def check_file(path: Path, keypoints: Keypoints | None = None) -> Report:
    """`check_text` of a file; raises ConfigurationError when it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = Diagnostic("document", "the file is not text", f"byte {error.start}", "UTF-8")
        return Report(str(path), None, (fault,))
    return check_text(text, str(path), keypoints)


def _load_yaml(text: str) -> dict[str, Any]:
    refuse_bulk(text)
    if _COMPACT.search(text):
        raise ProgramRejected([Diagnostic("document", "lists inside lists inside lists have no place in a program")])
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        column = mark.column if mark is not None else 0
        problem = f"not valid YAML ({getattr(error, 'problem', None) or type(error).__name__})"
        raise ProgramRejected([Diagnostic("document", problem, start=column, end=column + 1, line=line)]) from None
    if not isinstance(value, dict):
        raise ProgramRejected([Diagnostic("document", "a program is a mapping", type(value).__name__)])
    return value


def _paragraph(file: str, fault: Diagnostic, place: Place | None) -> str:
    if place is None:
        lines = [f"{file}: {fault.where}: {fault.problem}"]
    else:
        number = str(place.line)
        # A long line is shown around the fault; a control character must not reach the terminal.
        first = max(0, place.column - 81)
        shown = "".join(c if c.isprintable() else " " for c in place.text[first : first + 160])
        carets = " " * (place.column - 1 - first) + "^" * min(place.width, 160)
        margin = " " * len(number)
        lines = [
            f"{file}:{place.line}:{place.column}: {fault.where}: {fault.problem}",
            f" {number} | {shown}",
            f" {margin} | {carets}",
        ]
    if fault.found:
        lines.append(f"    found: {fault.found}")
    if fault.accepted:
        lines.append(f"    accepted: {fault.accepted}")
    return "\n".join(lines)
