"""Typed configuration: frozen pydantic models from YAML, where an unknown key is an error, never ignored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, core_schema

from vls_steering.core.errors import ConfigurationError


class Settings(BaseModel):
    """Base of every configuration section: frozen, finite numbers, unknown keys rejected.

    Each field carries `Field(description=..., ge=..., le=...)`; the same text becomes the ROS parameter descriptor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class OneOf:
    """Annotates a text field whose choices are a registry's keys: `scene: Annotated[str, OneOf("scene", SCENES)]`."""

    what: str
    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        if name not in self.names:
            raise ValueError(f"there is no {self.what} {name!r}; choose one of: {', '.join(filter(None, self.names))}")
        return name


def choices(field: FieldInfo) -> tuple[str, ...]:
    """What a field accepts where that is a list of names; empty for any other field."""
    if get_origin(field.annotation) is Literal:
        return tuple(map(str, get_args(field.annotation)))
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        return tuple(str(item.value) for item in field.annotation)
    return next((item.names for item in field.metadata if isinstance(item, OneOf)), ())


SettingsT = TypeVar("SettingsT", bound=Settings)


def parse_settings(model: type[SettingsT], values: dict[str, Any], where: str) -> SettingsT:
    """Validate `values`; raises ConfigurationError that lists each bad key, what was found and what is accepted."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = error.errors()
        told = ((".".join(map(str, e["loc"])) or "(top)", _words(e), e["input"]) for e in faults)
        text = "; ".join(f"{key}: {message} (found {found!r})" for key, message, found in told)
        is_unknown = any(e["type"] == "extra_forbidden" for e in faults)
        cure = f"Known keys: {', '.join(sorted(model.model_fields))}" if is_unknown else ""
        raise ConfigurationError(f"{where}: {text}", cure) from error


def _words(fault: ErrorDetails) -> str:
    """What a validator of ours says stands for itself."""
    return str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"]


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
