"""Ours without each of its parts, for the benchmark that says what a part is worth."""

from __future__ import annotations

from types import MappingProxyType

from vls_steering.steering.settings import GuideSettings, SelectSettings, StartSettings, SteeringSettings


def _cold(steps: int) -> SteeringSettings:
    """Every tick from noise."""
    return SteeringSettings(start=StartSettings(mode="cold", scouts=0), warm_steps=steps, cold_steps=steps)


ABLATIONS = MappingProxyType(
    {
        # Does a warm start only save steps that were not needed anyway?
        "ours_cold_3": _cold(3),
        "ours_cold_6": _cold(6),
        "ours_cold_8": _cold(8),
        # The reward only chooses, among warm and cold candidates.
        "ours_unguided": SteeringSettings(guide=GuideSettings(mode="off")),
        "ours_undamped": SteeringSettings(guide=GuideSettings(damping="none")),
        # The pull acts on each step of a chunk by itself.
        "ours_unsmoothed": SteeringSettings(guide=GuideSettings(smoothing_steps=0.0)),
        # The reward has the last word.
        "ours_late": SteeringSettings(guide=GuideSettings(stop_late=0.0)),
        "ours_without_scouts": SteeringSettings(start=StartSettings(scouts=0)),
        # A plan that the observation contradicts is gone on with.
        "ours_without_jumps": SteeringSettings(start=StartSettings(jump_raise=100.0, jump_cold=100.0)),
        "ours_without_margin": SteeringSettings(select=SelectSettings(lineage_margin=0.0)),
        # Nothing keeps a candidate that violates a safety term from being chosen.
        "ours_without_gate": SteeringSettings(select=SelectSettings(gate_s=0.0)),
        # Instead of by the smooth reward alone, candidates are compared by the exact one, too.
        "ours_with_robustness": SteeringSettings(select=SelectSettings(robustness_weight=0.5)),
    }
)
