#!/usr/bin/env bash
# The long checks of the executor: tools/nightly.sh [EXAMPLES] (default a million, about an hour and a half on two cores).
# Hostile chunk streams go through the executor at 100 Hz and, a hundredth of them, at 1 kHz; the oracle looks at every
# set-point.  Results: docs/results/hostile.json, one line each.  Fails when there is a violation.
set -euo pipefail
cd "$(dirname "$0")/../test"
examples=${1:-1000000}
python=${PYTHON:-../.venv/bin/python}
result=../docs/results/hostile.json
export OMP_NUM_THREADS=1
half=$((examples / 2))
partial=$(mktemp -d)
trap 'rm -rf "$partial"' EXIT
"$python" -m safety.hostile 0 "$half" 0.01 >"$partial/1" &
first=$!
"$python" -m safety.hostile "$half" $((examples - half)) 0.01 >"$partial/2" &
second=$!
failed=0
wait "$first" || failed=1
wait "$second" || failed=1
"$python" -m safety.hostile 0 $((examples / 100)) 0.001 >"$partial/3" || failed=1
cat "$partial"/[123] | tee "$result"
exit "$failed"
