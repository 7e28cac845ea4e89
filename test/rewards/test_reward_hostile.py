"""Nothing gets through the gate, and nothing happens while something tries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rewards.hostile import programs

ROOT = Path(__file__).resolve().parents[2]

# Audit hooks cannot be removed, and memory is counted by the process: so one of its own, warmed up by one program of
# each format first, because the interpreter and torch load parts of themselves late.
SCRIPT = """
import json, resource, sys, time
from rewards.guidance_programs import GOOD
from rewards.hostile import programs
from rewards.hostile_documents import document
from rewards.table import keypoints, motion, observe, straight
import torch
from vls_steering.rewards import Scene, compile_program
from vls_steering.rewards.dialect import compile_guidance
from vls_steering.rewards.report import check_text

torch.set_num_threads(1)
points = keypoints()
observation = observe(points)
scene = Scene.from_observation(observation)
good = [("good.json", json.dumps(document())), ("good.yaml", json.dumps(document()))]
good += [("good.txt", text) for text in GOOD.values()]

def use(file, text):
    report = check_text(text, file, points)
    assert report.exit_code == 0, report.render()
    compiled = compile_guidance(report.program) if file.endswith(".txt") else compile_program(report.program)
    for stage in compiled.stages:
        tcp = straight([(0.5, 0.0, 0.1), (0.4, 0.1, 0.2)]).requires_grad_()
        score = stage.score(motion(tcp), scene)
        if score.requires_grad:
            torch.autograd.grad(score.sum(), tcp)
        stage.safety(motion(tcp), scene), stage.progress(observation), stage.done(observation), stage.ready(observation)

for entry in good:
    use(*entry)
for file, text in (("x.json", "{"), ("x.yaml", "a: ["), ("x.txt", "x")):
    check_text(text, file, points).render()

events = []
QUIET = {"object.__getattr__", "sys._getframe", "gc.get_objects", "builtins.id", "code.__new__"}

def hook(event, args):
    # Building a syntax tree is announced as compile(..., "<unknown>"); running a code object is announced as exec.
    if event == "compile" and args[1] in (None, "<unknown>", b"<unknown>"):
        return
    if event not in QUIET:
        events.append((event, str(args)[:120]))

worst_s, told, before = 0.0, [], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.addaudithook(hook)
for file, text in programs():
    start = time.perf_counter()
    report = check_text(text, file, points)
    wording = report.render()
    worst_s = max(worst_s, time.perf_counter() - start)
    if report.exit_code != 3 or not report.diagnostics or "Traceback" in wording:
        told.append((file, text[-200:]))
for entry in good:
    use(*entry)
grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
seen = list(events)
print(json.dumps({"worst_s": worst_s, "accepted": told, "events": seen, "grown_mb": grown_mb}))
"""


def test_there_are_enough_of_them() -> None:
    listed = programs()
    assert len({text for _, text in listed}) >= 200
    assert sum(file.endswith(".txt") for file, _ in listed) >= 100


def test_every_hostile_program_is_refused_quickly_and_nothing_happens() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'test'}", "OMP_NUM_THREADS": "1", "PATH": ""},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["accepted"] == []
    assert told["events"] == []
    assert told["worst_s"] < 2.0
    assert told["grown_mb"] < 300.0


@pytest.mark.parametrize(
    ("name", "text"), [("p.json", "["), ("p.txt", "import os"), ("p.yaml", "- 1"), ("p.json", "\udcff")]
)
def test_the_command_exits_with_three_and_no_traceback(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    command = [sys.executable, "-m", "vls_steering.cli", "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    assert "rejected, 1 fault" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
