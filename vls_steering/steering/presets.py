"""Named combinations of parts; a method of the benchmark is a preset, not a fork of the loop."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from vls_steering.core.errors import ConfigurationError
from vls_steering.steering.ablations import ABLATIONS
from vls_steering.steering.settings import (
    DiversitySettings,
    GuideSettings,
    MutationSettings,
    ResampleSettings,
    SelectSettings,
    SpliceSettings,
    StallSettings,
    StartSettings,
    SteeringSettings,
    StrengthSettings,
)

_UNGUIDED = GuideSettings(mode="off")
_COLD = StartSettings(mode="cold", scouts=0)
_ONE_LINEAGE = StartSettings(scouts=0)
_UNCOMMITTED = SpliceSettings(commit_steps=0)
_NEVER_STALLED = StallSettings(after_s=60.0)
_PAPERS_STRENGTH = StrengthSettings(maximum=80.0, slope=25.0, midpoint=0.75, floor=0.0)


def _published(particles: int = 10, cold_steps: int = 20, **parts: Any) -> SteeringSettings:
    """A method as papers run it: ancestral steps from noise on every tick, no second thoughts."""
    return SteeringSettings(
        particles=particles,
        cold_steps=cold_steps,
        eta=1.0,
        recovery_ticks=0,
        start=_COLD,
        splice=_UNCOMMITTED,
        stall=_NEVER_STALLED,
        **parts,
    )


def _gradient_method(**knobs: Any) -> SteeringSettings:
    """A gradient method of the literature: undamped, nothing spread along the chunk."""
    return _published(guide=GuideSettings(damping="none", smoothing_steps=0.0, stop_late=0.0, **knobs))


PRESETS = MappingProxyType(
    {
        # The policy alone, as papers run it: a fresh draw on every tick.
        "base": SteeringSettings(particles=1, cold_steps=8, guide=_UNGUIDED, start=_COLD, splice=_UNCOMMITTED),
        # The policy alone, warm: one lineage keeps to the mode it once fell into, dead ends included.
        "base_warm": SteeringSettings(
            particles=1, warm_steps=4, cold_steps=8, guide=_UNGUIDED, start=_ONE_LINEAGE, splice=_UNCOMMITTED
        ),
        # The reward only chooses.
        "best_of_k": SteeringSettings(particles=16, cold_steps=8, guide=_UNGUIDED, start=_COLD, splice=_UNCOMMITTED),
        # The reward only bends.
        "gradient_only": SteeringSettings(particles=1, start=_ONE_LINEAGE),
        "ours": SteeringSettings(),
        # What committing to the next step is worth.
        "ours_uncommitted": SteeringSettings(splice=_UNCOMMITTED),
        # What warm starts save: the same, every tick from noise, in the steps that takes.
        "ours_cold": SteeringSettings(start=_COLD, warm_steps=16, cold_steps=16),
        # VLS as the paper means it (arXiv 2602.03973): particles kept apart by a kernel while it is open where they
        # will end, then the gradient on the clean estimate with repeated visits to each level (its MCMC steps),
        # Feynman-Kac resampling, strength falling with progress.  At 20 steps that is 62 evaluations a tick.
        "vls": _published(
            guide=GuideSettings(start=0.3, stop_late=0.0, damping="none", n_recur=4, gripper=False),
            diversity=DiversitySettings(kernel="rbf", until=0.3),
            resample=ResampleSettings(potential="diff", start=0.3, every=2),
            strength=_PAPERS_STRENGTH,
        ),
        # VLS as its released code behaves: `released.py` says what that is.  The number of visits is ignored there.
        "vls_released": _published(
            cold_steps=100,
            reward_s=0.7,
            guide=GuideSettings(mode="noisy", start=0.29, stop_late=0.0, gripper=False, estimate_limit=3.0),
            diversity=DiversitySettings(kernel="inverse_distance", strength=20.0, until=0.29, path_s=0.8),
            resample=ResampleSettings(
                potential="max",
                tilt="fixed",
                inverse_temperature=10.0,
                start=0.29,
                every=5,
                scheme="multinomial",
                elites=0,
                carry=0.0,
                correction="memory",
                judged="noisy",
                jitter=0.0,
            ),
            select=SelectSettings(choose="memory", gate_s=0.0, lineage_margin=0.0),
            strength=_PAPERS_STRENGTH,
        ),
        # The resampler alone (Singhal et al. 2025, arXiv 2501.06848).
        "fk": _published(particles=16, guide=_UNGUIDED, resample=ResampleSettings(potential="diff", every=2)),
        # Evolution instead of a gradient (Yang et al. 2024): choose, re-noise a little, denoise, and again.
        "diffusion_es": _published(
            particles=32,
            cold_steps=10,
            guide=_UNGUIDED,
            resample=ResampleSettings(potential="rt", start=1.0),
            mutation=MutationSettings(rounds=8, level=0.3, steps=2),
        ),
        # Repeated visits to each level (ITPS's stochastic sampling, Wang et al. 2024).
        "itps_ss": _gradient_method(mode="x0", n_recur=4),
        # The gradient goes through the network (Chung et al. 2023) ...
        "dps": _gradient_method(mode="through"),
        # ... or stays on the clean estimate (He et al. 2024) ...
        "mpgd": _gradient_method(mode="x0"),
        # ... of a blurred reward (LGD-MC, Song et al. 2023) ...
        "lgd": _gradient_method(mode="through", gamma=0.5),
        # ... with two visits to each level (FreeDoM, Yu et al. 2023) ...
        "freedom": _gradient_method(mode="through", n_recur=2),
        # ... on both paths with inner steps (universal guidance, Bansal et al. 2023) ...
        "universal": _gradient_method(mode="both", n_iter=4, n_recur=2),
        # ... or with all of that (TFG, Ye et al. 2024).
        "tfg": _gradient_method(mode="both", mu=0.5, rho=0.5, gamma=0.1, n_iter=4, n_recur=2),
        # RTI-DP (arXiv 2508.05396): one lineage, few steps from its own last chunk, no reward, no second thoughts.
        "rti": SteeringSettings(
            particles=1,
            warm_steps=2,
            cold_steps=20,
            recovery_ticks=0,
            guide=_UNGUIDED,
            start=StartSettings(scouts=0, jump_raise=100.0, jump_cold=100.0),
            splice=_UNCOMMITTED,
            stall=_NEVER_STALLED,
        ),
    }
)


def preset(name: str) -> SteeringSettings:
    """Settings of a named method or ablation; raises ConfigurationError for an unknown name."""
    known = {**PRESETS, **ABLATIONS}
    if name not in known:
        raise ConfigurationError(f"unknown steering preset {name!r}", f"Known: {', '.join(known)}")
    return known[name]
