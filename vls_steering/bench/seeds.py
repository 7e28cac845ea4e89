"""The seeds of a benchmark: a committed list, or consecutive ones from a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from vls_steering.core.config import Settings, load_settings
from vls_steering.core.errors import ConfigurationError

SEED_LISTS = ("development", "held-out")
_FOLDER = Path(__file__).resolve().parent.parent / "data" / "seeds"


class SeedList(Settings):
    """One committed file."""

    first: int = Field(ge=0, description="first seed")
    count: int = Field(ge=1, le=100_000, description="number of consecutive seeds")


@dataclass(frozen=True)
class Seeds:
    """Which seeds are run, and what they are called in a report."""

    source: str  # "development", "held-out" or "from N"
    values: tuple[int, ...]


def listed_seeds(name: str, count: int) -> Seeds:
    """The first `count` seeds of a committed list; raises ConfigurationError when there are not so many."""
    if name not in SEED_LISTS:
        raise ConfigurationError(f"there is no list of seeds {name!r}", f"Choose one of: {', '.join(SEED_LISTS)}")
    listed = load_settings(SeedList, _FOLDER / f"{name}.yaml")
    if count > listed.count:
        raise ConfigurationError(f"the {name} list has {listed.count} seeds, not {count}", "Ask for fewer episodes")
    return Seeds(name, tuple(range(listed.first, listed.first + count)))


def seeds_from(first: int, count: int) -> Seeds:
    """`count` consecutive seeds."""
    return Seeds(f"from {first}", tuple(range(first, first + count)))
