"""Random programs at the gate: grammatical, nearly grammatical and broken, in both formats.

Every input must end in a verdict.  What is accepted must also compile and evaluate to finite scores and gradients.
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from vls_steering.core.errors import VlsError
from vls_steering.core.types import Keypoints
from vls_steering.rewards import Rollout, Scene, compile_program
from vls_steering.rewards.dialect import GuidanceProgram, compile_guidance
from vls_steering.rewards.document import RewardProgram
from vls_steering.rewards.language import Kind
from vls_steering.rewards.rehearse import HOME_M, World
from vls_steering.rewards.report import Report, check_text
from vls_steering.rewards.words import VOCABULARY

REPORT_EVERY = 1000
_UNITS = {"a length": "cm", "a time": "s", "an angle": "deg", "a speed": "cm/s", "a plain number": ""}
_NOISE = "()[]{}'\"*-+.<>=,:;\\ \n\t\x00_@#%&|~!?aeimxyz019𝐚é"
_LINES = (
    "x = torch.norm(action_sequence - keypoints[{i}], dim={d})",
    "x = keypoints[torch.tensor([{i}], dtype=torch.long)][0]",
    "x = x * {n}",
    "x = x + away",
    "x = torch.where(x > {n}, x, away)",
    "x = torch.ones({i})",
    "x[{i}:] = {n}",
    "x = x.unsqueeze({d})",
    "x = action_sequence[:, {d}, :]",
    "x = torch.cummax(away, dim={d})[0]",
    "for i in range({i}):\n        x = x - {n} * i",
    "if {n} > 1:\n        x = away",
    "x = x.sum(dim={d})",
    "x = x ** {i}",
    "x = x / {n}",
    "x = torch.stack([x, away])",
    "x = x.repeat({i}, {i})",
    "x = x[{d}]",
    "x = torch.softmax(x, dim={d})",
)


class Writer:
    """Writes programs from the language's own vocabulary, with a fault now and then."""

    def __init__(self, rng: random.Random, names: tuple[str, ...], slip: float = 0.03) -> None:
        """`slip` is the chance, at each choice, of taking something that does not belong there."""
        self._rng = rng
        self._names = names
        self._slip = slip

    def program(self) -> tuple[str, str]:
        """(file name, text)."""
        kind = self._rng.random()
        if kind < 0.6:
            return "fuzz.json", self._noised(json.dumps(self._document()))
        if kind < 0.7:
            return "fuzz.yaml", self._noised(json.dumps(self._document(), indent=1))
        if kind < 0.97:
            return "fuzz.txt", self._noised(self._guidance())
        return self._rng.choice(["fuzz.json", "fuzz.yaml", "fuzz.txt"]), self._garbage()

    def _document(self) -> dict[str, Any]:
        rng = self._rng
        stage: dict[str, Any] = {"name": "a stage", "reward": [self._term() for _ in range(rng.randint(1, 4))]}
        stage["done"] = self._of(Kind.PREDICATE, 3)
        if rng.random() < 0.3:
            stage["safety"] = [f"always({self._of(Kind.PREDICATE, 2)})"]
        if rng.random() < 0.3:
            stage["gripper"] = self._of(Kind.INTENT, 2)
        if rng.random() < 0.2:
            stage[rng.choice(["requires", "deadline", "preference", "nmae"])] = rng.choice(
                [self._of(Kind.PREDICATE, 2), "3 s", ["maximize(speed)"], None, 7]
            )
        return {"version": 1, "instruction": "a task", "stages": [stage] * rng.randint(1, 2)}

    def _term(self) -> Any:
        rng = self._rng
        text = rng.choice(
            [self._of(Kind.OBJECTIVE, 3), f"{rng.choice(['always', 'eventually'])}({self._of(Kind.PREDICATE, 3)})"]
        )
        weighted = f"{text} * {rng.choice(['2', '0.5', '-1', '1e3'])}" if rng.random() < 0.3 else text
        return {"term": weighted, "phrase": "so"} if rng.random() < 0.1 else weighted

    def _of(self, kind: Kind, depth: int, unit: str = "cm") -> str:
        """An expression of a kind."""
        rng = self._rng
        if rng.random() < self._slip:
            kind = rng.choice(list(Kind))
        if kind is Kind.OBJECT:
            return rng.choice([f"kp('{rng.choice(self._names)}')", f"'{rng.choice(self._names)}'"])
        if kind is Kind.PREDICATE and rng.random() < 0.6:
            return self._condition(depth)
        words = [w for w in VOCABULARY.words if w.result_type(_ANY * len(w.parameters)).kind is kind]
        if depth <= 0:
            words = [w for w in words if w.is_name] or words
        if not words or depth < -3:
            return rng.choice(["ee", "speed", "forward", f"{rng.randint(-3, 40)} {unit}"])
        word = rng.choice(words)
        if word.is_name:
            return word.name
        arguments = []
        for parameter in word.parameters:
            if parameter.default is not None:
                if rng.random() < 0.3:
                    arguments.append(f"{parameter.name}={rng.choice(['0.5', '1.2', '3'])} s")
            elif parameter.type.constant:
                amount = rng.choice(["3", "0.5", "12"])
                arguments.append(f"{amount} {_UNITS.get(str(parameter.type.dimension), 'cm')}".strip())
            else:
                arguments.append(self._of(parameter.type.kind, depth - 1))
        return f"{word.name}({', '.join(arguments)})"

    def _condition(self, depth: int) -> str:
        rng = self._rng
        if depth > 0 and rng.random() < 0.4:
            joined = f" {rng.choice(['and', 'or'])} ".join(self._of(Kind.PREDICATE, depth - 1) for _ in range(2))
            return rng.choice([f"({joined})", f"not ({joined})"])
        signal, unit = rng.choice([("speed", "cm/s"), ("tilt", "deg"), (self._of(Kind.SIGNAL, depth - 1), "cm")])
        return f"{signal} {rng.choice(['<=', '>=', '<', '>'])} {rng.randint(0, 40)} {unit}"

    def _guidance(self) -> str:
        rng = self._rng
        lines = ["away = torch.norm(action_sequence - keypoints[0], dim=-1)", "x = away"]
        for _ in range(rng.randint(0, 6)):
            line = rng.choice(_LINES)
            lines.append(
                line.format(i=rng.choice([0, 1, 2, 3, 99]), d=rng.choice([-1, 0, 1, 2]), n=rng.choice([0, 0.5, 3, 1e9]))
            )
        lines.append(
            rng.choice(["return -x.mean()", "return -(away ** 2).mean()", "return x", "return (x + away).sum()"])
        )
        return "num_stages = 1\ndef stage1_guidance(keypoints, action_sequence):\n" + "".join(
            f"    {line}\n" for line in lines
        )

    def _noised(self, text: str) -> str:
        """The text, or the text with a few characters changed."""
        rng = self._rng
        if rng.random() < 0.7:
            return text
        characters = list(text)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(characters) + 1)
            cut = rng.choice([0, 1, 1, 5])
            characters[at : at + cut] = rng.choices(_NOISE, k=rng.choice([0, 1, 1, 3]))
        return "".join(characters)

    def _garbage(self) -> str:
        rng = self._rng
        return "".join(rng.choices(_NOISE, k=rng.randint(0, 200))) * rng.choice([1, 1, 1, 50])


_ANY = (VOCABULARY.words[0].result_type(()),)


def drawn_keypoints(seed: int) -> Keypoints:
    """The objects of a drawn scene."""
    from vls_steering.sim.privileged import true_keypoints
    from vls_steering.sim.scenes import draw_layout
    from vls_steering.sim.world import World as SimWorld

    return true_keypoints(SimWorld(draw_layout("play", seed)).truth())


def judge(file: str, text: str, keypoints: Keypoints) -> Report:
    """The gate's verdict; what passes is evaluated too.  Raises when an accepted program is not usable."""
    report = check_text(text, file, keypoints)
    report.render()
    if report.accepted:
        _use(report.program, keypoints)
    return report


def _use(program: RewardProgram | GuidanceProgram | None, keypoints: Keypoints) -> None:
    assert program is not None
    observation = World(keypoints, torch.tensor(HOME_M).double().numpy()).observation
    scene = Scene.from_observation(observation)
    moves = 0.02 * torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    tcp = (scene.tcp + moves.cumsum(1)).requires_grad_()
    rollout = Rollout(tcp, torch.full((2, 8), 0.03), 0.1 * torch.arange(1, 9))
    stages: tuple[Any, ...]
    stages = (compile_guidance(program) if isinstance(program, GuidanceProgram) else compile_program(program)).stages
    for stage in stages:
        score = stage.score(rollout, scene)
        slope = torch.autograd.grad(score.sum(), tcp)[0] if score.requires_grad else torch.zeros(1)
        if not torch.isfinite(score).all() or not torch.isfinite(slope).all():
            raise ArithmeticError("an accepted program has no finite score and gradient")
        stage.safety(rollout, scene)
        if not 0.0 <= stage.progress(observation) <= 1.0:
            raise ArithmeticError("an accepted program has no progress between 0 and 1")


def fuzz_rows(
    inputs: int, seed: int, keypoints: Keypoints, advance: Callable[[str, bool], None]
) -> list[dict[str, Any]]:
    """One row a format: verdicts, the slowest one, memory; the first inputs that broke the gate are listed."""
    torch.set_num_threads(1)
    writer = Writer(random.Random(seed), keypoints.names)
    verdicts: Counter[tuple[str, str]] = Counter()
    slowest_s: dict[str, float] = {}
    broken: list[dict[str, str]] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(inputs):
        file, text = writer.program()
        begin = time.perf_counter()
        try:
            verdict = "accepted" if judge(file, text, keypoints).accepted else "rejected"
        except Exception as error:  # noqa: BLE001 - any exception at all is what is looked for
            verdict = "refused in time" if isinstance(error, VlsError) else "broke"
            broken.append({"text": text[:2000], "error": f"{type(error).__name__}: {error}"[:300]})
        verdicts[file, verdict] += 1
        slowest_s[file] = max(slowest_s.get(file, 0.0), time.perf_counter() - begin)
        if number % REPORT_EVERY == 0:
            advance(f"{number} inputs, {len(broken)} broken", not broken)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rows: list[dict[str, Any]] = []
    for file in sorted(slowest_s):
        counts = {verdict: verdicts[file, verdict] for verdict in ("accepted", "rejected", "broke")}
        row = {"suite": "gate-fuzz", "task": file, **counts, "slowest_s": slowest_s[file], "grown_mb": grown_mb}
        rows.append({**row, "first": broken[:10]})
    return rows
