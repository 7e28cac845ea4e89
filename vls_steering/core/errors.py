"""Errors that name the cause and the cure; each carries the exit code of the command contract."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes of `vls` (docs/commands.md)."""

    SUCCESS = 0
    INTERNAL_ERROR = 1
    BAD_ARGUMENTS = 2
    REFUSED = 3
    TASK_FAILED = 4
    SAFETY_STOP = 5
    INTERRUPTED = 130


class VlsError(Exception):
    """A failure a person can act on: what is wrong, and what to do about it."""

    exit_code = ExitCode.INTERNAL_ERROR

    def __init__(self, problem: str, cure: str = "") -> None:
        super().__init__(f"{problem}. {cure}".rstrip(". ") + "." if cure else problem)
        self.problem = problem
        self.cure = cure


class ConfigurationError(VlsError):
    """A configuration file or argument is unusable."""

    exit_code = ExitCode.BAD_ARGUMENTS


class MissingDependency(VlsError):
    """Something that this use needs is not installed; the cure is the command that installs it."""

    exit_code = ExitCode.BAD_ARGUMENTS

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what} is not installed", cure)


class MissingExtra(MissingDependency):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, f"Run: pip install 'vls_steering[{extra}]'")


class Refusal(VlsError):
    """The instruction was not understood, or its reward program was rejected; nothing moves."""

    exit_code = ExitCode.REFUSED


class StreamFault(VlsError):
    """A camera, joint-state or chunk stream stopped, froze or is malformed."""

    exit_code = ExitCode.SAFETY_STOP


class ShapeError(VlsError):
    """An array has the wrong shape, dtype or a non-finite entry."""
