"""Steering: a frozen policy and a reward program in, the chunk to execute out.

`Pilot` is the room's door: `tick(observation) -> TickResult`.  `preset(name)` and `SteeringSettings` say
which parts the sampler's one loop is made of.
"""

from vls_steering.steering.pilot import Pilot
from vls_steering.steering.presets import PRESETS, preset
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.splice import LatencyEstimate
from vls_steering.steering.telemetry import Telemetry, TickResult

__all__ = ["PRESETS", "LatencyEstimate", "Pilot", "SteeringSettings", "Telemetry", "TickResult", "preset"]
