"""The back ends by name: a further one is a file of its own, a settings section and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.vlm.base import Advisor, Planner
from vls_steering.vlm.budget import Budget, MeteredAdvisor, MeteredPlanner
from vls_steering.vlm.local import TransformersPlanner, TransformersSettings
from vls_steering.vlm.offline import OfflineGrammar
from vls_steering.vlm.openai import OpenAIPlanner, OpenAISettings
from vls_steering.vlm.replay import Recorder, Replay

BackEndName = Literal["offline", "replay", "openai", "transformers"]


class BackEndSettings(Settings):
    """Who writes programs, with the section of each back end."""

    back_end: BackEndName = Field("offline", description="what writes reward programs")
    replay_file: str = Field("", description="recorded answers of the replay back end, JSON")
    record_file: str = Field("", description="where to record a model's answers for replay; empty: nowhere")
    max_answers: int = Field(1000, ge=1, description="answers that a model is asked for before the node refuses")
    openai: OpenAISettings = OpenAISettings()
    transformers: TransformersSettings = TransformersSettings()

    @property
    def wants_picture(self) -> bool:
        """Pictures are large: only a back end that looks at them is sent any."""
        sections: dict[str, OpenAISettings | TransformersSettings] = {
            "openai": self.openai,
            "transformers": self.transformers,
        }
        return self.back_end in sections and sections[self.back_end].send_image


@dataclass(frozen=True)
class BackEnd:
    """A planner, and an advisor where the same model can be one."""

    planner: Planner
    advisor: Advisor | None = None


def open_back_end(settings: BackEndSettings) -> BackEnd:
    """Load or connect; raises ConfigurationError or MissingExtra when the back end lacks what it needs."""
    makers: dict[BackEndName, Callable[[], BackEnd]] = {
        "offline": lambda: BackEnd(OfflineGrammar()),
        "replay": lambda: BackEnd(_replay(settings)),
        "openai": lambda: _model(OpenAIPlanner(settings.openai), settings),
        "transformers": lambda: _model(TransformersPlanner(settings.transformers), settings),
    }
    return makers[settings.back_end]()


def _replay(settings: BackEndSettings) -> Planner:
    if not settings.replay_file:
        raise ConfigurationError("the replay back end has no recording", "Set the parameter replay_file")
    return Replay.from_file(Path(settings.replay_file))


def _model(model: OpenAIPlanner | TransformersPlanner, settings: BackEndSettings) -> BackEnd:
    """Every answer is paid for, and recorded where that is wanted."""
    budget = Budget(settings.max_answers)
    planner: Planner = MeteredPlanner(model, budget)
    if settings.record_file:
        planner = Recorder(planner, Path(settings.record_file))
    return BackEnd(planner, MeteredAdvisor(model, budget))
