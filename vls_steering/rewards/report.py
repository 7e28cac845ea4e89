"""`vls check` as a pure function: a program's text in, a verdict and its wording out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.core.types import Keypoints
from vls_steering.rewards.check import check_program
from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected
from vls_steering.rewards.document import RewardProgram
from vls_steering.rewards.parse import MAX_DOCUMENT_CHARACTERS, load_json, parse_program


@dataclass(frozen=True)
class Report:
    """The verdict on one program file."""

    file: str
    program: RewardProgram | None
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
                {**diagnostic.as_dict(), "line": _line(self.text, diagnostic)} for diagnostic in self.diagnostics
            ],
        }

    def render(self) -> str:
        """For people: one paragraph per fault, the fault underlined."""
        if self.accepted and self.program is not None:
            stages = ", ".join(repr(stage.name) for stage in self.program.stages)
            return f"{self.file}: accepted; stages: {stages}; sha256 {self.program.sha256[:12]}"
        faults = [_paragraph(self.file, self.text, diagnostic) for diagnostic in self.diagnostics]
        return "\n".join([*faults, f"{self.file}: rejected, {len(faults)} fault{'s' if len(faults) != 1 else ''}"])


def check_text(text: str, file: str, keypoints: Keypoints | None = None) -> Report:
    """Check the text of a `.json`, `.yaml` or `.yml` program, against a scene when one is given; never raises."""
    try:
        document = _load_yaml(text) if file.endswith((".yaml", ".yml")) else load_json(text)
        program = parse_program(document)
    except ProgramRejected as rejection:
        return Report(file, None, rejection.diagnostics, text)
    faults = check_program(program, keypoints) if keypoints is not None else ()
    return Report(file, program, faults, text)


def check_file(path: Path, keypoints: Keypoints | None = None) -> Report:
    """`check_text` of a file; raises ConfigurationError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    return check_text(text, str(path), keypoints)


def _load_yaml(text: str) -> dict[str, Any]:
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise ProgramRejected([Diagnostic("document", "the document is too long", f"{len(text)} characters")])
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "document"
        raise ProgramRejected([Diagnostic(where, "not valid YAML", getattr(error, "problem", "") or "")]) from None
    if not isinstance(value, dict):
        raise ProgramRejected([Diagnostic("document", "a program is a mapping", type(value).__name__)])
    return value


def _line(text: str, diagnostic: Diagnostic) -> int | None:
    """Line of the file that holds the faulty expression, counted from 1."""
    if not diagnostic.text:
        return None
    lines = (i for i, line in enumerate(text.splitlines(), 1) if diagnostic.text in line.replace('\\"', '"'))
    return next(lines, None)


def _paragraph(file: str, text: str, diagnostic: Diagnostic) -> str:
    line = _line(text, diagnostic)
    place = f"{file}:{line}" if line is not None else file
    lines = [f"{place}: {diagnostic.where}: {diagnostic.problem}"]
    if diagnostic.text:
        width = max(1, diagnostic.end - diagnostic.start)
        flat = diagnostic.text.replace("\n", " ").replace("\t", " ")
        lines += [f"    {flat}", "    " + " " * diagnostic.start + "^" * width]
    if diagnostic.found:
        lines.append(f"    found: {diagnostic.found}")
    if diagnostic.accepted:
        lines.append(f"    accepted: {diagnostic.accepted}")
    return "\n".join(lines)
