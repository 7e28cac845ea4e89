"""Where the policies that come with the package lie."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "data" / "policies"
SHIPPED_POLICY = _FOLDER / "play.safetensors"
SHIPPED_FLOW_POLICY = _FOLDER / "play_flow.safetensors"
