"""Whether results can be written, found out before the work and not after it."""

from __future__ import annotations

from pathlib import Path

from vls_steering.core.errors import ConfigurationError

_CURE = "Choose another --out"


def check_writable(out: Path) -> None:
    """Raises ConfigurationError unless the file `out` can be written; an old file stays as it is."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror or error}", _CURE) from error


def writable_folder(folder: Path) -> Path:
    """The absolute path of `folder`, made and proven writable; raises ConfigurationError otherwise."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(f"cannot write to {folder}: {error.strerror or error}", _CURE) from error
    return folder.resolve()
