"""Reward programs: parse, check, compile; smooth and exact semantics.  Data in, tensors out, nothing executed."""

from vls_steering.rewards.check import check_program
from vls_steering.rewards.compile import CompiledProgram, CompiledStage, compile_program
from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected
from vls_steering.rewards.document import RewardProgram, Stage, Term
from vls_steering.rewards.parse import parse_program
from vls_steering.rewards.progression import StageMemory
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.verify import verify_program

__all__ = [
    "CompiledProgram",
    "CompiledStage",
    "Diagnostic",
    "ProgramRejected",
    "RewardProgram",
    "Rollout",
    "Scene",
    "Stage",
    "StageMemory",
    "Term",
    "check_program",
    "compile_program",
    "parse_program",
    "verify_program",
]
