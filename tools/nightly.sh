#!/usr/bin/env bash
# The long checks of the executor: tools/nightly.sh [EXAMPLES] (default a million: an hour and a half on two idle cores).
# Hostile chunk streams go through the executor at 100 Hz and, a hundredth of them, at 1 kHz; of those on the FR3's own
# kinematics and volume, which cost twenty times as much, there are a hundredth and half as many.  The oracle looks at
# every set-point and every millisecond between them.  The result, docs/results/hostile.json, holds the sums.  Fails when
# there is a violation.
# Work is done in blocks, kept under runs/nightly/COMMIT: an interrupted run goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
examples=${1:-1000000}
block=10000
commit=$(git describe --always --dirty)
export PYTHON=${PYTHON:-$PWD/.venv/bin/python} OMP_NUM_THREADS=1
export KEPT=$PWD/runs/nightly/$commit-$examples
mkdir -p "$KEPT"

examine() { # FIRST COUNT PERIOD_S ARM
    local result=$KEPT/$4-$3-$1.json
    [ -e "$result" ] && return
    cd test
    "$PYTHON" -m safety.hostile "$@" >"$result.partial" || [ -s "$result.partial" ] || return # a violation still leaves its line, a crash does not
    cat "$result.partial"
    mv "$result.partial" "$result"
}
export -f examine

blocks() { # EXAMPLES PERIOD_S BLOCK ARM
    local first
    for ((first = 0; first < $1; first += $3)); do
        echo "$first $(($1 - first < $3 ? $1 - first : $3)) $2 $4"
    done
}
{
    blocks $((examples / 200)) 0.001 $((block / 20)) fr3
    blocks $((examples / 100)) 0.01 $((block / 10)) fr3
    blocks $((examples / 100)) 0.001 $((block / 10)) linear
    blocks "$examples" 0.01 "$block" linear
} | xargs -P 2 -L 1 bash -c 'examine "$@"' examine

"$PYTHON" - "$commit" "$KEPT" >docs/results/hostile.json <<'PYTHON'
import collections, json, pathlib, sys

sums = collections.defaultdict(collections.Counter)
for path in pathlib.Path(sys.argv[2]).glob("*.json"):
    run = json.loads(path.read_text())
    sums[run["arm"], run["period_s"]].update({key: run[key] for key in ("examples", "set_points", "violations", "seconds")})
common = {"looked_at_every_s": 0.001, "commit": sys.argv[1]}
runs = [
    {"arm": arm, "period_s": period_s, **common, **counts}
    for (arm, period_s), counts in sorted(sums.items(), reverse=True)
]
print(json.dumps({"runs": runs}, indent=1))
sys.exit(any(run["violations"] for run in runs))
PYTHON
