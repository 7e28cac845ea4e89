"""The policy formats by the ending of their file: a further one is a file of its own and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.base import FrozenPolicy
from vls_steering.policies.checkpoint import load_policy

FORMATS: Mapping[str, Callable[[Path], FrozenPolicy]] = MappingProxyType({".safetensors": load_policy})


def open_policy(path: Path) -> FrozenPolicy:
    """The policy at `path`; raises ConfigurationError when the ending is of no format, or the file is unusable."""
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"{path} is of no known policy format", f"Known endings: {', '.join(FORMATS)}")
    return FORMATS[path.suffix](path)
