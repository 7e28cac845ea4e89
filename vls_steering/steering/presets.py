"""Named combinations of parts; a method of the benchmark is a preset, not a fork of the loop."""

from __future__ import annotations

from types import MappingProxyType

from vls_steering.core.errors import ConfigurationError
from vls_steering.steering.settings import GuideSettings, StartSettings, SteeringSettings

_UNGUIDED = GuideSettings(mode="off")
_COLD = StartSettings(mode="cold", scouts=0)
_ONE_LINEAGE = StartSettings(scouts=0)

PRESETS = MappingProxyType(
    {
        # The policy alone, as papers run it: a fresh draw on every tick.
        "base": SteeringSettings(particles=1, guide=_UNGUIDED, start=_COLD),
        # The policy alone, warm: one lineage keeps to the mode it once fell into, dead ends included.
        "base_warm": SteeringSettings(particles=1, guide=_UNGUIDED, start=_ONE_LINEAGE),
        # The reward only chooses.
        "best_of_k": SteeringSettings(particles=16, guide=_UNGUIDED, start=_COLD),
        # The reward only bends.
        "gradient_only": SteeringSettings(particles=1, start=_ONE_LINEAGE),
        "ours": SteeringSettings(),
    }
)


def preset(name: str) -> SteeringSettings:
    """Settings of a named method; raises ConfigurationError for an unknown name."""
    if name not in PRESETS:
        raise ConfigurationError(f"unknown steering preset {name!r}", f"Known: {', '.join(PRESETS)}")
    return PRESETS[name]
