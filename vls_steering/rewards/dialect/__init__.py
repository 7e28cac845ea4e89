"""Programs in the format of VLS: guidance functions of torch calls, read as data and interpreted, never executed."""

from vls_steering.rewards.dialect.check import check_guidance
from vls_steering.rewards.dialect.program import (
    CompiledGuidance,
    GuidanceProgram,
    GuidanceStage,
    compile_guidance,
    parse_guidance,
)

__all__ = [
    "CompiledGuidance",
    "GuidanceProgram",
    "GuidanceStage",
    "check_guidance",
    "compile_guidance",
    "parse_guidance",
]
