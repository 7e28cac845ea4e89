"""The language: what parses, what is refused and how the refusal reads."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards.table import keypoints

from vls_steering.rewards import ProgramRejected, check_program, parse_program
from vls_steering.rewards.expression import (
    Binary,
    Call,
    Compare,
    Expression,
    Logic,
    Name,
    Negate,
    Not,
    Quantity,
    Text,
    to_text,
)
from vls_steering.rewards.source import parse_expression
from vls_steering.rewards.words import VOCABULARY


def document(**changes: Any) -> dict[str, Any]:
    stage = {
        "name": "grasp the red cube",
        "reward": ["minimize(dist(ee, kp('red cube')))"],
        "gripper": "close_when(dist(ee, kp('red cube')) <= 2 cm)",
        "done": "grasped('red cube')",
        "deadline": "6 s",
    }
    return {"version": 1, "instruction": "pick up the red cube", "stages": [{**stage, **changes}]}


def faults(program: Any) -> str:
    with pytest.raises(ProgramRejected) as rejection:
        parse_program(program)
    return "\n".join(map(str, rejection.value.diagnostics))


class TestExpressions:
    @pytest.mark.parametrize(
        ("written", "canonical"),
        [
            ("dist(ee, 'red cube')<2cm", "dist(ee, 'red cube') <= 2 cm"),
            ("dist(ee, kp('red cube')) <= 2*cm", "dist(ee, kp('red cube')) <= 2 cm"),
            ("speed <= 20 cm/s", "speed <= 20 cm / 1 s"),
            ("height(ee) / 2 >= -(3 mm)", "height(ee) / 2 >= -3 mm"),
            ("2 cm <= height(ee) <= 5 cm", "2 cm <= height(ee) and height(ee) <= 5 cm"),
            ("not (height(ee) >= 1e-1 m or open)", "not (height(ee) >= 0.1 m or open)"),
            ("  always(\n  height(ee) >= 5 cm)", "always(height(ee) >= 5 cm)"),
            ("a - (b - c) - d", "a - (b - c) - d"),
        ],
    )
    def test_units_and_operators_have_one_canonical_form(self, written: str, canonical: str) -> None:
        expression = parse_expression(written, "x")
        assert to_text(expression) == canonical
        assert parse_expression(canonical, "x") == expression

    def test_a_unit_binds_tighter_than_division(self) -> None:
        assert to_text(parse_expression("10 cm / 2 s", "x")) == "10 cm / 2 s"
        assert "one" not in faults(document(reward=["always(speed <= 10 cm / 2 s)", "always(height(ee) >= 1 cm)"] * 20))

    def test_a_name_that_looks_like_a_unit_stays_a_name(self) -> None:
        assert parse_expression("kp('5 cm block')", "x") == Call("kp", (Text("5 cm block"),))


def compound(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Negate, inner),
        st.builds(Not, inner),
        st.builds(Logic, st.sampled_from(["and", "or"]), st.tuples(inner, inner)),
        st.builds(Call, st.sampled_from(["dist", "always"]), st.tuples(inner, inner)),
        st.builds(Compare, st.just("<="), inner, inner),
        st.builds(Binary, st.sampled_from("+-/"), inner, inner),
    )


EXPRESSIONS = st.recursive(
    st.builds(Quantity, st.floats(0, 1e5).map(abs), st.sampled_from(["", "cm", "m", "mm", "s", "deg", "N"]))
    | st.builds(Name, st.sampled_from(["ee", "body", "speed", "open"]))
    | st.builds(Text, st.sampled_from(["red cube", "it's", "box 2 cm"])),
    compound,
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(EXPRESSIONS)
def test_printing_and_parsing_are_inverse(expression: Expression) -> None:
    assert parse_expression(to_text(expression), "x") == expression


class TestDocuments:
    def test_the_canonical_text_parses_to_the_same_hash(self) -> None:
        program = parse_program(
            document(safety=[{"term": "always(clearance(body, 'box') >= 3cm)", "phrase": "default"}])
        )
        again = parse_program(program.canonical)
        assert again == program
        assert again.sha256 == program.sha256
        assert parse_program(program.pretty()).sha256 == program.sha256

    def test_spelling_does_not_change_the_hash_but_meaning_does(self) -> None:
        one = parse_program(document(reward=["minimize(dist(ee,kp('red cube')))*2"]))
        same = parse_program(document(reward=['minimize( dist(ee, kp("red cube")) ) * 2.0']))
        other = parse_program(document(reward=["minimize(dist(ee, kp('red cube'))) * 3"]))
        assert one.sha256 == same.sha256 != other.sha256

    def test_every_example_of_the_vocabulary_is_correct(self) -> None:
        for word in VOCABULARY.words:
            text = word.example
            for key in ("reward", "gripper", "done"):
                try:
                    parse_program(document(**{key: [text] if key == "reward" else text}))
                    break
                except ProgramRejected:
                    continue
            else:
                pytest.fail(f"the example of {word.name} is accepted nowhere: {text}")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (
                {"reward": ["always(dist(ee, kp('red cube')) <= 2)"]},
                ["same units", "a length <= a plain number", "5 cm"],
            ),
            ({"reward": ["always(dist(ee, kp('red cube')) <= 2 s)"]}, ["same units", "a time"]),
            ({"reward": ["maximize(dst(ee, 'red cube'))"]}, ["'dst'", "did you mean 'dist'"]),
            ({"reward": ["dist(ee, 'red cube') <= 2 cm"]}, ["always(...) or eventually(...)"]),
            ({"reward": ["maximize(dist(ee))"]}, ["lacks 'b'", "dist(a, b)"]),
            ({"reward": ["maximize(height(ee)) * -1"]}, ["a weight must be positive", "-1"]),
            ({"reward": ["maximize(3 cm)"]}, ["does not depend on the motion"]),
            ({"reward": ["always(1 cm <= 2 cm)"]}, ["both sides are literals"]),
            ({"reward": ["minimize(height(ee) / height(ee))"]}, ["division by a literal"]),
            ({"reward": ["always(lowest(height(ee)) >= 1 cm)"]}, ["for objectives only"]),
            ({"reward": ["always(height(ee) >= 1 cm) and height(ee) >= 2 cm"]}, ["at each step with one on the whole"]),
            ({"reward": ["always(height(ee) >= 1 cm, from=2 s)"]}, ["not a valid expression"]),
            ({"reward": ["always(height(ee) >= 1 cm, within=2 s)"]}, ["'within' is not an argument", "before"]),
            ({"reward": ["always(height(ee) >= 1 cm, before=2 cm)"]}, ["must be a time", "1.5 s"]),
            ({"reward": ["always(height(kp('a').b) >= 1 cm)"]}, ["an attribute is not part of the language"]),
            ({"reward": []}, ["at least one term"]),
            ({"safety": ["maximize(height(ee))"]}, ["safety is a condition on the chunk"]),
            ({"gripper": "opn"}, ["did you mean 'open'"]),
            ({"gripper": "height(ee) >= 2 cm"}, ["a gripper intent is needed"]),
            ({"done": "always(grasped('red cube'))"}, ["measured now"]),
            ({"deadline": "6 cm"}, ["a deadline is a time"]),
            ({"deadline": "0 s"}, ["a deadline is a time"]),
            ({"rewards": []}, ["unknown key", "did you mean 'reward'"]),
            ({"name": ""}, ["a line of plain text"]),
        ],
    )
    def test_faults_say_what_was_found_and_what_is_accepted(self, changes: dict[str, Any], words: list[str]) -> None:
        told = faults(document(**changes))
        assert told.startswith("stages[0]")
        for word in words:
            assert word in told

    def test_all_faults_are_told_at_once(self) -> None:
        told = faults(document(reward=["maximize(1)", "minimize(foo)"], done="bar", extra=1))
        assert told.count("\n") == 3

    def test_a_fault_points_at_its_characters(self) -> None:
        with pytest.raises(ProgramRejected) as rejection:
            parse_program(document(reward=["always(height(ee) >= 2 cm) * 1", "minimize(2 cm + dst(ee, 'red cube'))"]))
        (fault,) = rejection.value.diagnostics
        assert fault.where == "stages[0].reward[1]"
        assert fault.text[fault.start : fault.end] == "dst(ee, 'red cube')"

    def test_names_are_checked_against_the_scene(self) -> None:
        program = parse_program(document(done="grasped('red cub')"))
        (fault,) = check_program(program, keypoints())
        assert fault.where == "stages[0].done"
        assert "did you mean 'red cube'" in fault.accepted
        assert fault.text[fault.start : fault.end] == "'red cub'"
        assert check_program(parse_program(document()), keypoints()) == ()


class TestHostileText:
    ATTACKS = (
        "__import__('os').system('touch /tmp/owned')",
        "(lambda: 1)()",
        "ee.__class__.__mro__",
        "[x for x in (1,)]",
        "{}.get",
        "f'{ee}'",
        "open('/etc/passwd')",
        "exec('1')",
        'eval("1")',
        "dist(*ee)",
        "dist(**ee)",
        "(ee := 1)",
        "ee[0]",
        "ee if ee else ee",
        "9" * 590,
        "(" * 300 + ")" * 300,
        "-" * 500 + "1",
        "not " * 140 + "open",
        "'a' 'b' + '\\x00'",
        "\x00",
        "always(height(ee) >= 1e400 m)",
        "1 if 1else 2",
        "2j",
        "True",
        "'\N{SNOWMAN}' @ 2",
        "a" * 100_000,
        "import os",
        "ee\n; import os",
        "𝐝ist(ee, 'red cube')",
        "speed ** 99999999",
        "await ee",
        "yield",
        "...",
    )

    @pytest.mark.parametrize("attack", ATTACKS)
    @pytest.mark.parametrize("key", ["reward", "gripper", "done", "deadline"])
    def test_it_ends_in_a_rejection(self, attack: str, key: str) -> None:
        faults(document(**{key: [attack] if key == "reward" else attack}))

    @settings(max_examples=80, deadline=None)
    @given(st.text(max_size=80) | st.text("()[]{}'\"*-+.<>= cmeedist,0", max_size=80))
    def test_any_text_at_all_is_read_or_rejected(self, text: str) -> None:
        with contextlib.suppress(ProgramRejected):
            parse_program(document(done=text))

    @settings(max_examples=80, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from(["stages", "name", "reward", "term", "x"]), inner, max_size=4)
            ),
        )
    )
    def test_any_document_at_all_is_read_or_rejected(self, value: Any) -> None:
        faults(value if isinstance(value, dict) else {"instruction": "x", "stages": value})

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "null",
            "{",
            '{"a": NaN}',
            '{"a": 1, "a": 2}',
            "[" * 50_000,
            '{"a":' * 20_000,
            "1" * 5000,
            "x" * 70_000,
        ],
    )
    def test_bad_json_is_rejected(self, text: str) -> None:
        faults(text)

    def test_checking_runs_imports_and_opens_nothing(self) -> None:
        """Audit hooks cannot be removed, so this one lives in a process of its own."""
        attacks = [a for a in self.ATTACKS if "\x00" not in a]
        script = (
            "import json, sys\n"
            "from vls_steering.rewards import ProgramRejected, parse_program\n"
            "import encodings.idna, unicodedata\n"
            f"programs = json.loads({json.dumps(json.dumps([document(done=a) for a in attacks] + [document()]))})\n"
            "seen = []\n"
            "watched = {'exec', 'import', 'open', 'os.system', 'subprocess.Popen', 'socket.connect', 'ctypes.dlopen'}\n"
            "sys.addaudithook(lambda event, args: seen.append((event, str(args)[:80])) if event in watched else None)\n"
            "for program in programs:\n"
            "    try:\n"
            "        parse_program(program)\n"
            "    except ProgramRejected:\n"
            "        pass\n"
            "assert not seen, seen\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
