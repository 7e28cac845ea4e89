"""What a module that cannot be found belongs to, so that an import at the top of a file fails with its cure, too."""

from __future__ import annotations

from types import MappingProxyType

from vls_steering.core.errors import MissingDependency, MissingExtra

# Importable name -> extra of pyproject.toml, for what is imported without being asked for first.
EXTRA_OF = MappingProxyType(
    {
        "mcap": "sim",
        "imageio": "sim",
        "imageio_ffmpeg": "sim",
        "rosbags": "sim",
        "trimesh": "sim",
        "franka": "libfranka",
        "matplotlib": "bench",
        "statsmodels": "bench",
        "transformers": "vlm",
        "openai": "openai",
        "pyrealsense2": "realsense",
        "onnxscript": "export",
    }
)
_ROS = ("rclpy", "rpyutils", "ament_index_python", "std_srvs", "rosidl_", "builtin_interfaces")
_OUR_MESSAGES = ("vls_steering.msg", "vls_steering.action")


def explained(error: ModuleNotFoundError) -> MissingDependency | None:
    """Cause and cure; None for a module that no extra brings: that is a defect and keeps its traceback."""
    name = error.name or ""
    package = name.split(".", 1)[0]
    if name.startswith(_OUR_MESSAGES):
        return MissingDependency(f"the built form of our ROS messages ({name})", "Run: make setup, or colcon build")
    if package.startswith(_ROS) or package.endswith("_msgs"):
        return MissingDependency(
            f"ROS 2 ({package})", "Source a ROS 2 installation, or run: pip install 'vls_steering[ros]'"
        )
    return MissingExtra(package, EXTRA_OF[package]) if package in EXTRA_OF else None
