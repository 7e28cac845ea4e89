"""Which options mean something to which benchmark: one that would have no effect is an error, not ignored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vls_steering.bench.suites import SUITES
from vls_steering.core.errors import ConfigurationError

_SUCCESS = frozenset(
    {"episodes", "seed", "seeds", "methods", "jobs", "resume", "privileged", "policy"}
    | {"clock", "time_scale", "plan_every"}
)
_TRIALS = frozenset({"episodes", "seed"})
# Benchmark -> its options, beside --out.
TAKES = MappingProxyType(
    {
        **dict.fromkeys(SUITES, _SUCCESS),
        "grasp": _TRIALS,
        "perception": frozenset({"seed", "scenes", "sequences"}),
        "tracking": frozenset({"seed", "sequences"}),
        "latency": frozenset({"policy", "seed", "quick", "large"}),
        "graph-latency": frozenset({"policy", "seed", "quick"}),
        "faults": frozenset({"quick"}),
        "control": frozenset({"quick", "seconds"}),
        "verifier": _TRIALS,
        "reward-cost": _TRIALS,
        "gate-fuzz": _TRIALS,
    }
)


def check_options(bench: str, given: Mapping[str, object]) -> None:
    """Raises ConfigurationError for an unknown benchmark, or an option that it does not look at.

    `given` are the options of the command line, by parameter name, without those left at their defaults.
    """
    if bench not in TAKES:
        raise ConfigurationError(f"there is no benchmark {bench!r}", f"Choose one of: {', '.join(TAKES)}")
    idle = sorted(set(given) - TAKES[bench])
    if idle:
        takes = ", ".join(map(_option, sorted(TAKES[bench])))
        raise ConfigurationError(f"{_option(idle[0])} means nothing to vls bench {bench}", f"It takes {takes}")
    if "seed" in given and "seeds" in given:
        raise ConfigurationError("--seed and --seeds both say which seeds to run", "Give one of them")
    if "time_scale" in given and given.get("clock") != "running":
        raise ConfigurationError("--time-scale means nothing to a paused clock", "Add --clock running")
    if "seconds" in given and "quick" in given:
        raise ConfigurationError("--quick and --seconds both say how long to measure", "Give one of them")


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"
