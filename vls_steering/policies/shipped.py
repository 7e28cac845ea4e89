"""Where the policy that comes with the package lies."""

from __future__ import annotations

from pathlib import Path

SHIPPED_POLICY = Path(__file__).resolve().parent.parent / "data" / "policies" / "play.safetensors"
