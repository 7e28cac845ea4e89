#!/usr/bin/env bash
# Builds the virtual environment: tools/setup.sh VENV LOG.  One line per stage; everything else goes to LOG.
# Called by the Makefile; safe to run again at any time.
set -euo pipefail
venv=$1 log=$2
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

stage() { # stage "what" command...: quiet; on failure the end of the log is shown
  printf '  %s ... ' "$1"
  local started=$SECONDS
  shift
  if "$@" >>"$log" 2>&1; then
    printf 'done (%d s)\n' $((SECONDS - started))
  else
    printf 'failed\n\n' >&2
    tail -n 25 "$log" >&2
    fail "see $log"
  fi
}

find_python() { # the pinned versions are for 3.11; 3.12 has wheels of all of them too
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

as_root_apt() { # apt-get install where that needs no password, otherwise the command for the person
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    stage "system packages: $*" bash -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"' _ "$@"
  else
    fail "missing system packages.  On Debian or Ubuntu: sudo apt-get install $*"
  fi
}

check_system() {
  local missing=()
  command -v cmake >/dev/null || missing+=(cmake)
  command -v c++ >/dev/null || missing+=(g++)
  # MuJoCo renders the cameras without a display through EGL (Mesa's software renderer where there is no GPU).
  ldconfig -p | grep -q 'libEGL\.so\.1' || missing+=(libegl1 libgl1-mesa-dri)
  ldconfig -p | grep -q 'libGL\.so\.1' || missing+=(libgl1)
  [ ${#missing[@]} = 0 ] || as_root_apt "${missing[@]}"
}

install_torch() { # plain torch is the CUDA build: 3 GB that a machine without a GPU has no use for
  local pinned
  pinned=$(grep '^torch==' constraints.txt)
  if "$venv/bin/python" -c "import sys, torch; sys.exit(not torch.__version__.startswith('${pinned#torch==}'))"; then
    return
  fi
  local cpu_index=https://download.pytorch.org/whl/cpu
  if ! command -v nvidia-smi >/dev/null && curl -sfI --max-time 10 "$cpu_index/torch/" >/dev/null; then
    "$venv/bin/pip" install -c constraints.txt --extra-index-url "$cpu_index" "$pinned"
  else
    "$venv/bin/pip" install -c constraints.txt "$pinned"
  fi
}

install_ros() { # before the package: its build needs them, and without build isolation pip does not install them first
  local runtime
  mapfile -t runtime < <("$venv/bin/python" -c '
import tomllib, pathlib
print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]["optional-dependencies"]["ros"], sep="\n")')
  "$venv/bin/pip" install -c constraints.txt -r requirements/ros-build.txt "${runtime[@]}"
}

install_package() { # editable: an edit counts at once.  The interfaces are generated into the checkout.
  AMENT_PREFIX_PATH="$(realpath "$venv")" "$venv/bin/pip" install -c constraints.txt --no-build-isolation \
    -e '.[ros,sim,bench,openai,vlm,dev]'
}

check_result() {
  "$venv/bin/python" -c 'from vls_steering.msg import ActionChunk; from vls_steering.action import RunTask; import mujoco, torch'
}

python=$(find_python) || fail "CPython 3.11 or 3.12 with venv is needed (Debian, Ubuntu: apt-get install python3.11-venv), or name one: make setup PYTHON=/path/to/python3.11"
started=$SECONDS
mkdir -p "$venv"
: >"$log"
echo "Setting up $venv with $("$python" --version)"
check_system
[ -x "$venv/bin/pip" ] || stage "virtual environment" "$python" -m venv "$venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
stage "torch" install_torch
stage "ROS 2" install_ros
stage "tf" tools/build_tf2_msgs.sh "$venv"
stage "packages and messages" install_package
stage "robot model" "$venv/bin/pip" install --no-deps -r requirements/assets.txt
stage "check" check_result
echo "Ready after $((SECONDS - started)) s."
