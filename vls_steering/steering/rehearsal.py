"""Ticks before the first one that counts: whatever loads, allocates or compiles does so while the arm stands."""

from __future__ import annotations

import time

from vls_steering.policies.base import make_example_observation
from vls_steering.rewards import compile_program, parse_program
from vls_steering.steering.pilot import Pilot

_TICK_S = 0.1
# Reward, safety and a smooth temporal operator: every kind of term that is scored and differentiated in motion.
_PROGRAM = """{
  "version": 1,
  "instruction": "pick up the red cube but stay clear of the blue cube",
  "stages": [
    {
      "name": "grasp the red cube",
      "reward": ["minimize(lowest(dist(ee, kp('red cube'))))", "minimize(dist(ee, kp('red cube'))) * 0.5"],
      "safety": [{"term": "always(clearance(body, kp('blue cube')) >= 1 cm)", "phrase": "stay clear of the blue cube"}],
      "gripper": "close_when(dist(ee, kp('red cube')) <= 2.5 cm)",
      "done": "grasped('red cube')"
    }
  ]
}"""


def rehearse(pilot: Pilot) -> float:
    """Steer an example scene from noise and from a plan, then forget it and the pilot's program.

    Returns how long a steered tick from noise takes, s: what the first tick of a task will take.
    """
    pilot.set_program(compile_program(parse_program(_PROGRAM)))
    pilot.reset()
    for tick in range(2):
        pilot.tick(make_example_observation(tick * _TICK_S))
    pilot.reset()
    started_s = time.monotonic()
    pilot.tick(make_example_observation())
    duration_s = time.monotonic() - started_s
    pilot.set_program(None)
    pilot.reset()
    return duration_s
