#!/usr/bin/env bash
# The demo on the arm that speaks libfranka's protocol, and what of its report docs/control.md shows.
# usage: tools/rehearsal.sh [share of real time, default 1]
set -euo pipefail
cd "$(dirname "$0")/.."
pace="${1:-1}"
python="${PYTHON:-.venv/bin/python}"
folder="runs/rehearsal"
"$python" -m vls_steering.cli demo --headless --robot libfranka --pace "$pace" --out "$folder"
"$python" - "$folder/report.json" docs/results/demo_libfranka.json "$pace" <<'EOF'
import json
import sys

KEYS = ("command", "success", "exit_code", "goal", "seconds_to_success", "simulated_s", "real_time_factor",
        "camera_to_set_point_ms", "tick_ms", "governor", "machine")
report = json.load(open(sys.argv[1], encoding="utf-8"))
kept = {key: report[key] for key in KEYS} | {"version": report["versions"]["vls_steering"], "asked_pace": float(sys.argv[3])}
with open(sys.argv[2], "w", encoding="utf-8") as stream:
    stream.write(json.dumps(kept, indent=1) + "\n")
EOF
