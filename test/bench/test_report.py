"""report.json keeps the command contract; report.html stands alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from bench.report_contract import assert_kept
from bench.runs import LIFT, lifting, world

from vls_steering.bench.recording import Recorder, Recording
from vls_steering.bench.report import report_page
from vls_steering.bench.score import Scorer, nothing_measured
from vls_steering.bench.summary import Contrast, DemoRun, finished, summary
from vls_steering.core.errors import ExitCode


def demo_run(recording: Recording | None = None, code: ExitCode = ExitCode.SUCCESS, message: str = "") -> DemoRun:
    recording = recording or lifting()
    measures = Scorer(world()).measure(recording, LIFT)
    contrast = Contrast(False, ["push red cube"], 0, 8.0, "Alone, the policy did something else: push red cube.")
    return DemoRun(recording, measures, code, message, "vls demo --seed 3", {"python": "3.11"}, contrast, wall_s=8.0)


@pytest.fixture(scope="module")
def numbers() -> dict:
    return summary(demo_run())


def test_the_contract_is_kept(numbers: dict) -> None:
    assert_kept(numbers)
    assert (numbers["judged_by"], numbers["error_code"], numbers["error_msg"]) == ("simulator", "", "")
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.SUCCESS])
def test_the_contract_is_kept_by_every_end_of_a_run_that_never_began(code: ExitCode) -> None:
    empty = Recorder().finish(replace(lifting().facts, program="", program_sha256="", written_by=""))
    run = replace(demo_run(code=code, message="cause and cure"), recording=empty, measures=nothing_measured(LIFT))
    assert_kept(summary(run))
    assert summary(run)["success"] is False
    assert "Failure" in report_page(run)


def test_what_the_simulator_cannot_judge_is_judged_by_the_program_and_told(numbers: dict) -> None:
    """Its own `done`: exact, but the steering's word for it."""
    unjudged = replace(demo_run(), measures=Scorer(world()).measure(lifting(), None))
    assert (summary(unjudged)["success"], summary(unjudged)["judged_by"]) == (True, "program")
    assert "Done, by its own measure" in report_page(unjudged)
    ticks = tuple(replace(tick, numbers={**tick.numbers, "finished": 0.0}) for tick in lifting().ticks)
    stalled = replace(unjudged, recording=replace(lifting(), ticks=ticks), exit_code=ExitCode.TASK_FAILED)
    assert summary(stalled)["success"] is False
    assert "Not done" in report_page(stalled)
    assert_kept(summary(unjudged))


def test_stages_follow_one_another_in_time(numbers: dict) -> None:
    grasp, lift = numbers["stages"]
    assert (grasp["name"], lift["name"]) == ("grasp", "lift")
    assert grasp["started_s"] == 0.0
    assert grasp["ended_s"] == lift["started_s"] < lift["ended_s"]
    assert grasp["finished"]
    assert lift["finished"]


def test_going_back_a_stage_is_not_finishing_it() -> None:
    recording = lifting()
    back = replace(recording.ticks[-1], stage=0, stage_name="grasp", stamp_s=recording.ticks[-1].stamp_s + 0.1)
    rows = summary(demo_run(replace(recording, ticks=(*recording.ticks[:-1], back))))["stages"]
    assert [row["finished"] for row in rows[:2]] == [True, False]


def test_chunks_are_counted_by_reason(numbers: dict) -> None:
    governor, last = numbers["governor"], lifting().executor[-1]
    assert (governor["passed"], governor["scaled"]) == (last.passed, last.scaled)
    assert sum(governor["reasons"].values()) == last.scaled


def test_success_needs_both_the_simulator_and_the_exit_code() -> None:
    assert summary(demo_run())["success"]
    assert summary(demo_run(code=ExitCode.SAFETY_STOP, message="the camera stopped"))["success"] is False


def test_holds_do_not_count_as_ticks_of_the_sampler(numbers: dict) -> None:
    assert finished(lifting())
    assert numbers["tick_ms"]["p50"] == pytest.approx(20 + np.median(range(len(lifting().ticks))), abs=2.0)


def test_how_old_pictures_were_is_told_where_it_is_known(numbers: dict) -> None:
    assert numbers["camera_to_set_point_ms"] == {"p50": None, "p95": None, "p99": None}
    aged = demo_run(replace(lifting(), camera_to_set_point_ms=np.arange(101.0)))
    assert summary(aged)["camera_to_set_point_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert "camera to set-point" in report_page(aged)
    assert "camera to set-point" not in report_page(demo_run())


class Outside(HTMLParser):
    """Collects what a page would load from elsewhere, and checks that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("data:")]
        if tag not in ("meta", "img", "path", "rect", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("code", [ExitCode.SUCCESS, ExitCode.TASK_FAILED])
def test_the_page_stands_alone(code: ExitCode) -> None:
    still = np.full((72, 128, 3), 90, np.uint8)
    page = report_page(demo_run(code=code, message="<b>odd</b> & ends"), still, "video.mp4")
    parser = Outside()
    parser.feed(page)
    assert parser.open == []
    assert parser.loads == ["video.mp4"]
    assert "$" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    assert "<b>odd</b>" not in page
    assert page.count("<svg") == 10
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", page.lower().split("<body>")[1].replace("base64", ""))


def test_a_run_that_never_began_has_a_page_too() -> None:
    empty = Recorder().finish(replace(lifting().facts, program="", program_sha256="", written_by=""))
    page = report_page(demo_run(empty, ExitCode.REFUSED, "I do not understand 'xyzzy'"))
    assert "I do not understand" in page
    assert "There is no program" in page


def test_redrawn_particles_are_drawn_where_there_were_any() -> None:
    recording = lifting()
    redrawn = [replace(tick, numbers={**tick.numbers, "resamples": 1.0, "ess": 3.5}) for tick in recording.ticks]
    assert "Particles that still count" not in report_page(demo_run(recording))
    assert "Particles that still count" in report_page(demo_run(replace(recording, ticks=tuple(redrawn))))
