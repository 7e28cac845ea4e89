"""Who is timed, on what, and in which order: every method sees every observation, in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vls_steering.bench.latency_chain import Chain, Delivery, Sight
from vls_steering.bench.latency_statistics import rotated
from vls_steering.core.types import Observation
from vls_steering.policies import NetworkPolicy
from vls_steering.rewards import CompiledProgram
from vls_steering.steering.pilot import Pilot
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.telemetry import Telemetry, TickResult

EPISODE_TICKS = 40  # an arm that has arrived does something else than one on its way


@dataclass
class Entrant:
    """One pilot under the clock, and what its ticks said."""

    name: str
    policy: NetworkPolicy
    settings: SteeringSettings
    seed: int
    program: CompiledProgram | None = None  # None: the instruction's
    ticks: list[Telemetry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pilot = Pilot(self.policy, self.settings, self.seed)

    @property
    def settles(self) -> bool:
        """Its first ticks after a reset cost something else than the others."""
        return self.settings.start.mode == "warm"

    @property
    def steps(self) -> int:
        """Denoising steps of what it does most of the time."""
        return self.settings.warm_steps if self.settles else self.settings.cold_steps

    def begin(self, program: CompiledProgram) -> None:
        """Forget the last episode, keep its figures."""
        self._pilot.reset()
        self._pilot.set_program(self.program or program)

    def tick(self, observation: Observation, counts: bool) -> TickResult:
        result = self._pilot.tick(observation)
        if counts:
            self.ticks.append(result.telemetry)
        return result


@dataclass(frozen=True)
class Episode:
    """The observations of one episode, for the sweeps to replay."""

    program: CompiledProgram
    observations: list[Observation] = field(default_factory=list)


@dataclass
class LiveTrial:
    """The methods on a moving arm: the first one drives, the others plan for the same observations."""

    chain: Chain
    entrants: Sequence[Entrant]
    sights: list[Sight] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)

    @property
    def settling(self) -> int:
        """Ticks of an episode that are run but not counted: cold after the reset, and the first picture."""
        return 1 + max(entrant.settings.recovery_ticks for entrant in self.entrants)

    def run(self, rounds: int, advance: Callable[[], None]) -> None:
        """Count `rounds` observations; what has been counted stays when this is interrupted."""
        done = 0
        while done < rounds:
            done += self._episode(min(EPISODE_TICKS, rounds - done), done, advance)

    def _episode(self, rounds: int, turn: int, advance: Callable[[], None]) -> int:
        """At most `rounds` counted observations; fewer when the arm was stopped, never none."""
        episode = Episode(self.chain.begin())
        self.episodes.append(episode)
        for entrant in self.entrants:
            entrant.begin(episode.program)
        for index in range(self.settling + rounds):
            counts = index >= self.settling
            sight = self.chain.look()
            episode.observations.append(sight.observation)
            present = [entrant for entrant in self.entrants if counts or entrant.settles]
            results = {
                entrant.name: entrant.tick(sight.observation, counts) for entrant in rotated(present, turn + index)
            }
            delivery = self.chain.act(results[self.entrants[0].name].chunk)
            if counts:
                self.sights.append(sight)
                self.deliveries.append(delivery)
                advance()
                if self.chain.over:
                    return index - self.settling + 1
        return rounds


def replay(entrants: Sequence[Entrant], episode: Episode, rounds: int, advance: Callable[[], None]) -> None:
    """The entrants in turns on the first `rounds` observations of `episode`, after one uncounted observation."""
    for entrant in entrants:
        entrant.begin(episode.program)
        entrant.tick(episode.observations[0], counts=False)
    for turn, observation in enumerate(episode.observations[1 : rounds + 1]):
        for entrant in rotated(entrants, turn):
            entrant.tick(observation, counts=True)
        advance()
