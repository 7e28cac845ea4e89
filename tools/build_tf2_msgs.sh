#!/usr/bin/env bash
# Builds tf2_msgs/TFMessage into a virtual environment of ROS 2 wheels: tools/build_tf2_msgs.sh VENV.
# Does nothing where it can be imported already; without it everything works but tf.
set -euo pipefail
venv=$(realpath "$1")
cd "$(dirname "$0")/.."

if "$venv/bin/python" -c 'from tf2_msgs.msg import TFMessage' 2>/dev/null; then
  exit
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
export AMENT_PREFIX_PATH=$venv
generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
cmake "${generator[@]}" -S requirements/tf2_msgs -B "$build" -Wno-dev -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
  -DPython3_EXECUTABLE="$venv/bin/python" -DCMAKE_PREFIX_PATH="$venv" -DCMAKE_INSTALL_PREFIX="$venv"
cmake --build "$build" --parallel "$(nproc)"
cmake --install "$build"
"$venv/bin/python" -c 'from tf2_msgs.msg import TFMessage; TFMessage.__class__.__import_type_support__()'
