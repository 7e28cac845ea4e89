"""Every reason code is explained, in the code and in the manual."""

from __future__ import annotations

from pathlib import Path

import pytest

from vls_steering.safety import REASONS, ReasonCode

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", [code for code in ReasonCode if code is not ReasonCode.NONE])
def test_the_manual_explains_it(code: ReasonCode) -> None:
    reason = REASONS[code]
    row = f"| {code.value} | `{code.name}` | {reason.meaning} | {reason.cure} | {reason.severity.value} |"
    assert row in MANUAL
