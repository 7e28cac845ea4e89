"""What this host lets a test's processes do."""

from __future__ import annotations

import subprocess
import sys


def may_go_first() -> bool:
    """Whether a process may ask for real-time priority."""
    script = "import os\nos.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
