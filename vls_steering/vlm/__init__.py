"""Who writes reward programs, and how what they write is checked before it may steer."""

from vls_steering.vlm.base import PlanAnswer, Planner, PlanRequest
from vls_steering.vlm.offline import OfflineGrammar
from vls_steering.vlm.plan import plan

__all__ = ["OfflineGrammar", "PlanAnswer", "PlanRequest", "Planner", "plan"]
