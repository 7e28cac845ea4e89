"""What calibration found for one policy: success against K, and the settings that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from vls_steering.core.config import Settings, load_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.steering.settings import SteeringSettings

FORMAT = "vls_steering.calibration/1"
SIGNIFICANT = 0.05  # below this p value a point is worse than the best one
_HEADER = """\
# Written by `vls calibrate`.  `steering` goes on top of the preset, as in the policy node's parameters; it holds for
# the policy with this digest and for no other.
"""


class CurvePoint(Settings):
    """Success at one setting, over all tasks and seeds: the same episodes at every point of a curve."""

    particles: int = Field(ge=1, description="candidates per tick, K")
    temperature: float = Field(ge=0.0, description="selection temperature; 0 = the best score wins")
    n: int = Field(ge=0, description="episodes")
    successes: int = Field(ge=0, description="of them")
    wilson_low: float = Field(description="95 % Wilson interval")
    wilson_high: float = Field(description="95 % Wilson interval")
    tick_ms_p50: float = Field(ge=0.0, description="median over episodes of the median tick")
    only_best: int = Field(0, ge=0, description="episodes that the curve's best point solved and this one did not")
    only_this: int = Field(0, ge=0, description="the other way round")
    p_value: float = Field(1.0, ge=0.0, le=1.0, description="that both solve equally many: McNemar, exact, two-sided")


class SelectOverride(Settings):
    """The calibrated part of SelectSettings."""

    temperature: float = Field(ge=0.0, description="selection temperature")


class SteeringOverride(Settings):
    """The calibrated part of SteeringSettings."""

    particles: int = Field(ge=1, description="candidates per tick, K")
    k_cap: int = Field(ge=1, description="the same: whoever asks for more gets no more")
    select: SelectOverride = Field(description="how the chunk is chosen")


class Calibration(Settings):
    """The file."""

    format: str = Field(FORMAT, description="format and version of this file")
    policy: str = Field(description="name of the policy")
    policy_sha256: str = Field(description="digest of its weights")
    preset: str = Field(description="method that was calibrated")
    steering: SteeringOverride = Field(description="what goes on top of the preset")
    curve: tuple[CurvePoint, ...] = Field(description="success against K at the preset's temperature")
    temperatures: tuple[CurvePoint, ...] = Field(description="success against temperature at the chosen K")
    config: dict[str, Any] = Field(default_factory=dict, description="tasks, seeds, perception")
    machine: dict[str, Any] = Field(default_factory=dict, description="where it was measured")
    version: str = Field("", description="of the package")
    commit: str = Field("", description="of the code that measured; empty in older files")

    def on(self, settings: SteeringSettings, policy_sha256: str) -> SteeringSettings:
        """`settings` with the calibrated values; raises ConfigurationError for another policy's weights."""
        if policy_sha256 != self.policy_sha256:
            raise ConfigurationError(
                f"this calibration is for {self.policy} {self.policy_sha256[:12]}, not for {policy_sha256[:12]}",
                "Run vls calibrate for this policy",
            )
        select = settings.select.model_copy(update={"temperature": self.steering.select.temperature})
        chosen = {"particles": self.steering.particles, "k_cap": self.steering.k_cap, "select": select}
        return settings.model_copy(update=chosen)


def load_calibration(path: Path) -> Calibration:
    """Read a file of `save_calibration`; raises ConfigurationError when it is missing or malformed."""
    calibration = load_settings(Calibration, path)
    if calibration.format != FORMAT:
        raise ConfigurationError(f"{path} is not a {FORMAT} file", "Run vls calibrate")
    return calibration


def save_calibration(calibration: Calibration, path: Path) -> None:
    """YAML, the settings first."""
    text = yaml.safe_dump(calibration.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    path.write_text(_HEADER + text, encoding="utf-8")


def cheapest_as_good(points: Sequence[CurvePoint], cost: Callable[[CurvePoint], float]) -> CurvePoint:
    """The cheapest point that is not significantly below the best one on the same episodes.

    Paired, because a layout that nobody or everybody solves says nothing about a difference.  What is not
    distinguishable from the best is as good; a larger K only costs more, and may be worse (V-GPS, arXiv 2410.13816:
    success rises and then falls with the number of samples).
    """
    return min((point for point in points if point.p_value >= SIGNIFICANT), key=cost)
