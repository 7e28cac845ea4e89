"""ROS parameters from a pydantic Settings model: one description, typed, ranged, read-only, unknown names refused."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from vls_steering.core.config import Settings, choices, parse_settings
from vls_steering.core.errors import ConfigurationError

SettingsT = TypeVar("SettingsT", bound=Settings)

# Declared by rclpy for every node.
BUILT_IN = ("use_sim_time", "start_type_description_service")
BUILT_IN_PREFIXES = ("qos_overrides.",)
INT64_MAX = 2**63 - 1


def declare_settings(node: Node, model: type[SettingsT]) -> SettingsT:
    """Validate the node's parameter overrides against `model`, declare every field, return the settings.

    The node must have been created with `automatically_declare_parameters_from_overrides=True`: that is the public
    way to learn which parameters somebody set.  Nested models become dotted names.

    Raises ConfigurationError for an unknown parameter (naming the nearest known one) or an unacceptable value.
    """
    fields = dict(flatten(model))
    overrides = {name: p.value for name, p in node.get_parameters_by_prefix("").items() if not _is_built_in(name)}
    refuse_unknown(overrides, tuple(fields), node.get_fully_qualified_name())
    settings = parse_settings(model, nest(overrides), f"parameters of {node.get_fully_qualified_name()}")
    for name in overrides:
        node.undeclare_parameter(name)
    for name, field in fields.items():
        value = to_parameter(value_at(settings, name))
        node.declare_parameter(name, value, describe(name, field), ignore_override=True)
    return settings


def flatten(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted name and field of every leaf of a (nested) settings model."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from flatten(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        branch = nested
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return nested


def value_at(settings: BaseModel, dotted: str) -> Any:
    """The value of a nested field by its dotted name."""
    value: Any = settings
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def to_parameter(value: Any) -> Any:
    """A settings value as rclpy accepts it: enums by value, tuples as lists."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_parameter(item) for item in value]
    if isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def refuse_unknown(given: Mapping[str, Any], known: Sequence[str], node_name: str) -> None:
    """Raise ConfigurationError for names that no field has; ROS itself would ignore them silently."""
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    hints = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hints.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    raise ConfigurationError(
        f"{node_name} has no parameter {', '.join(hints)}", f"Known parameters: {', '.join(sorted(known))}"
    )


def describe(name: str, field: FieldInfo) -> ParameterDescriptor:
    """Descriptor with description, range and choices.  All parameters are read-only: set them before start-up."""
    low, high = _bounds(field)
    descriptor = ParameterDescriptor(name=name, description=field.description or "", read_only=True)
    if (low is not None or high is not None) and field.annotation is float:
        bottom = -sys.float_info.max if low is None else float(low)
        top = sys.float_info.max if high is None else float(high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=bottom, to_value=top, step=0.0)]
    if (low is not None or high is not None) and field.annotation is int:
        bottom_int = -INT64_MAX if low is None else int(low)
        top_int = INT64_MAX if high is None else int(high)
        descriptor.integer_range = [IntegerRange(from_value=bottom_int, to_value=top_int, step=0)]
    accepted = choices(field)
    descriptor.additional_constraints = f"one of: {', '.join(accepted)}" if accepted else ""
    return descriptor


def as_parameters(settings: Settings) -> list[Parameter]:
    """Every field as a parameter override, for nodes that are created in a test or in another process."""
    names = [name for name, _ in flatten(type(settings))]
    return [Parameter(name, value=to_parameter(value_at(settings, name))) for name in names]


def _is_built_in(name: str) -> bool:
    return name in BUILT_IN or name.startswith(BUILT_IN_PREFIXES)


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Lower and upper bound; an exclusive bound is reported as the bound, pydantic enforces the difference."""
    low = high = None
    for item in field.metadata:
        low = next((getattr(item, key) for key in ("ge", "gt") if getattr(item, key, None) is not None), low)
        high = next((getattr(item, key) for key in ("le", "lt") if getattr(item, key, None) is not None), high)
    return low, high
