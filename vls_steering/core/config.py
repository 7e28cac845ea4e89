"""Typed configuration: frozen pydantic models from YAML, where an unknown key is an error, never ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vls_steering.core.errors import ConfigurationError


class Settings(BaseModel):
    """Base of every configuration section: frozen, finite numbers, unknown keys rejected.

    Each field carries `Field(description=..., ge=..., le=...)`; the same text becomes the ROS parameter descriptor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


def parse_settings(model: type[SettingsT], values: dict[str, Any], where: str) -> SettingsT:
    """Validate `values`; raises ConfigurationError that lists each bad key, what was found and what is accepted."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        known = ", ".join(sorted(model.model_fields))
        faults = ((".".join(map(str, e["loc"])) or "(top)", e["msg"], e["input"]) for e in error.errors())
        text = "; ".join(f"{key}: {message} (found {found!r})" for key, message, found in faults)
        raise ConfigurationError(f"{where}: {text}", f"Known keys: {known}") from error


def load_settings(model: type[SettingsT], path: Path) -> SettingsT:
    """Load one YAML file into `model`."""
    return parse_settings(model, load_yaml(path), str(path))


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigurationError when the file is missing, malformed or not a mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds a {type(values).__name__}, expected a mapping")
    return values
