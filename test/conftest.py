"""Fixtures of the whole suite; those for ROS isolate every test process from everything else on the host."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Examples are judged by what they show, not by how busy the host is; the same ones every time.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

CONFIG = Path(__file__).resolve().parents[1] / "config"


@pytest.fixture(scope="session")
def ros_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings for this process and its children: own domain, this host only, own log folder, large messages."""
    environment = {
        # 1..101 is the range that is safe on every platform; the process id spreads parallel runs over it.
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 101),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(tmp_path_factory.mktemp("ros_logs")),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(CONFIG / "fastdds.xml"),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    yield environment
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def ros(ros_environment: dict[str, str]) -> Iterator[None]:
    """An initialised rclpy context, shut down afterwards.

    What is left of it is collected at once: a context ends with its last handle, and where that was collected during
    the next test, every service of the next context vanished from discovery (one bring-up in sixteen).
    """
    rclpy = pytest.importorskip("rclpy")
    signals = pytest.importorskip("rclpy.signals")
    rclpy.init(args=[], signal_handler_options=signals.SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()
    gc.collect()


def pytest_configure() -> None:
    """A shell that starts pytest in the background has it ignore SIGINT, and every process of a test with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
