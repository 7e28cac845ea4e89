"""What a figure is of: the code, the machine and the settings that it was measured with."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vls_steering import __version__
from vls_steering.bench.machine import describe_machine
from vls_steering.steering.settings import SteeringSettings

UNRECORDED = "not recorded"  # of results that are older than this module
_ROOT = Path(__file__).resolve().parents[2]
_DIGEST_LENGTH = 12


def measured(bench: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What every benchmark's file begins with."""
    return {
        "bench": bench,
        "config": dict(config),
        "version": __version__,
        "commit": commit(),
        "machine": describe_machine(),
    }


@cache
def commit() -> str:
    """The commit that this process runs, "-dirty" when the code differs from it; the version outside a checkout.

    Asked once: the checkout may move on while a benchmark runs, what was imported does not.
    """
    return describe_checkout(_ROOT)


def describe_checkout(root: Path) -> str:
    """The commit of the checkout at `root`; the package's version when `root` is none."""
    if not (root / ".git").exists():  # an installation, perhaps inside somebody else's checkout
        return __version__
    try:
        described = _git(root, "describe", "--always")
        # docs/ is left out: the results that this very run is about to replace are no code.
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs")
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{described}-dirty" if changed else described


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30.0).stdout.strip()


def steering_config(settings: Mapping[str, SteeringSettings]) -> dict[str, Any]:
    """Method -> effective settings and their digest, for a report."""
    return {
        method: {"digest": steering_digest(chosen), "settings": chosen.model_dump(mode="json")}
        for method, chosen in settings.items()
    }


def steering_digest(settings: SteeringSettings) -> str:
    """Short and the same for the same sampler: what a journal tells one from another by."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def commits_of(results: Iterable[Mapping[str, Any]]) -> str:
    """The commits of logged episodes: more than one after a run was gone on with in another checkout."""
    return ", ".join(dict.fromkeys(str(result.get("commit", UNRECORDED)) for result in results))


def of_commit(report: Mapping[str, Any]) -> str:
    """Which code a report is of, for the line below its heading."""
    return f"commit {report.get('commit') or UNRECORDED}"
