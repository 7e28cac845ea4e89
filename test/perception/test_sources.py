"""Device cameras: what they deliver, and what they say when they cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from vls_steering.core.errors import ConfigurationError, MissingExtra, ShapeError, StreamFault
from vls_steering.perception import load_mounts
from vls_steering.perception.sources import (
    Calibration,
    RealSenseSettings,
    RealSenseSource,
    UvcSettings,
    UvcSource,
    load_calibration,
)

WIDTH, HEIGHT = 64, 48
ABOVE = np.array([[0.0, -1.0, 0.0, 0.5], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.9], [0.0, 0.0, 0.0, 1.0]])
PINHOLE = np.array([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])
CALIBRATION = Calibration(WIDTH, HEIGHT, PINHOLE, np.zeros(5), PINHOLE)


def calibration_file(path: Path, **changes: Any) -> str:
    """As camera_calibration writes it."""
    k = [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
    values = {
        "image_width": WIDTH,
        "image_height": HEIGHT,
        "camera_name": "usb_cam",
        "camera_matrix": {"rows": 3, "cols": 3, "data": k},
        "distortion_model": "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": [-0.3, 0.1, 0.0, 0.0, 0.0]},
        "rectification_matrix": {"rows": 3, "cols": 3, "data": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
        "projection_matrix": {"rows": 3, "cols": 4, "data": [55, 0, 31.5, 0, 0, 55, 23.5, 0, 0, 0, 1, 0]},
        **changes,
    }
    path.write_text(yaml.safe_dump(values))
    return f"file://{path}"


@pytest.fixture
def video(tmp_path: Path) -> str:
    """Five pictures, each brighter than the one before."""
    path = tmp_path / "table.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 100.0, (WIDTH, HEIGHT))
    for level in range(5):
        writer.write(np.full((HEIGHT, WIDTH, 3), (0, 0, 40 + 40 * level), np.uint8))
    writer.release()
    return str(path)


# Calibration and mounts -----------------------------------------------------------------------------------------------


def test_a_calibration_of_ros_tools_is_read(tmp_path: Path) -> None:
    calibration = load_calibration(calibration_file(tmp_path / "usb cam.yaml").replace(" ", "%20"))
    assert (calibration.width, calibration.height) == (WIDTH, HEIGHT)
    assert calibration.intrinsics[0, 0] == 60.0
    assert calibration.pinhole[0, 0] == 55.0


def test_a_package_url_is_looked_up_where_packages_are(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    calibration_file(tmp_path / "config" / "cam.yaml")
    assert load_calibration("package://my_cameras/config/cam.yaml", {"my_cameras": tmp_path}.__getitem__).width == WIDTH


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_widht": 3}, "image_widht"),
        ({"distortion_model": "magic"}, "unknown distortion_model 'magic'"),
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [1.0, 2.0]}}, "cannot reshape"),
    ],
)
def test_a_bad_calibration_names_the_file_and_the_fault(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as error:
        load_calibration(calibration_file(tmp_path / "cam.yaml", **change))
    assert "cam.yaml" in str(error.value)


@pytest.mark.parametrize("url", ["http://somewhere/cam.yaml", "package://my_cameras/cam.yaml"])
def test_an_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not understood"):
        load_calibration(url)


def test_rectifying_moves_the_corners_and_keeps_the_middle(tmp_path: Path) -> None:
    calibration = load_calibration(calibration_file(tmp_path / "cam.yaml"))
    dot = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    dot[22:26, 30:34] = 255
    assert calibration.rectify(dot)[23:25, 31:33].min() > 200
    with pytest.raises(ShapeError, match="calibrated for 64x48"):
        calibration.rectify(dot[:10])


def test_mounts_are_loaded_and_unknown_keys_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("wrist: {parent: fr3_hand_tcp, position_m: [0.05, 0, -0.06], quat_xyzw: [0, 0, 0, 1]}")
    mount = load_mounts(path)["wrist"]
    assert mount.is_on_hand
    np.testing.assert_allclose(mount.parent_from_camera[:3, 3], [0.05, 0, -0.06])
    path.write_text("wrist: {parent: fr3_hand_tcp, position: [0.05, 0, -0.06], quat_xyzw: [0, 0, 0, 1]}")
    with pytest.raises(ConfigurationError, match="position"):
        load_mounts(path)
    path.write_text("wrist: {position_m: [0.05, 0, -0.06], quat_xyzw: [0, 0, 0, 2]}")
    with pytest.raises(ConfigurationError, match="unit quaternion"):
        load_mounts(path)


# UVC ------------------------------------------------------------------------------------------------------------------


def test_a_video_is_delivered_in_order_with_stamps_and_then_over(video: str) -> None:
    clock = iter(np.arange(10.0, 20.0, 0.1))
    settings = UvcSettings(device=video, rate_hz=200.0, latency_s=0.03, depth="table")
    source = UvcSource("front", settings, CALIBRATION, ABOVE, lambda: float(next(clock)))
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    assert [round(frame.stamp_s, 3) for frame in frames] == [9.97, 10.07, 10.17, 10.27, 10.37]
    reds = [int(frame.color[..., 0].mean()) for frame in frames]
    assert reds == sorted(reds)
    assert reds[0] < reds[-1]
    assert frames[0].color[..., 2].mean() < 20  # red was written, red comes: not blue


def test_without_a_depth_camera_every_pixel_lies_on_the_known_table(video: str) -> None:
    settings = UvcSettings(device=video, depth="table", table_height_m=0.1)
    frame = UvcSource("front", settings, CALIBRATION, ABOVE, lambda: 1.0).read()
    assert frame is not None
    np.testing.assert_allclose(frame.depth, 0.8, atol=1e-6)


def test_a_uvc_camera_without_a_known_table_is_refused_with_the_cure(video: str) -> None:
    with pytest.raises(ConfigurationError, match=r"measures no depth.*uvc\.depth: table"):
        UvcSource("front", UvcSettings(device=video), CALIBRATION, ABOVE, lambda: 1.0)


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamFault, match=r"nothing\.avi"):
        UvcSource(
            "front", UvcSettings(device=str(tmp_path / "nothing.avi"), depth="table"), CALIBRATION, ABOVE, lambda: 1.0
        )


# RealSense ------------------------------------------------------------------------------------------------------------


class FakeSdk(SimpleNamespace):
    """As much of pyrealsense2 as the source uses: a device whose depth unit is 0.5 mm."""

    def __init__(self, domain: str = "global_time", broken: str = "") -> None:
        color = SimpleNamespace(
            get_data=lambda: np.full((HEIGHT, WIDTH, 3), 99, np.uint8),
            get_timestamp=lambda: 12_340.0,
            get_frame_timestamp_domain=lambda: domain,
        )
        depth = SimpleNamespace(get_data=lambda: np.full((HEIGHT, WIDTH), 2000, np.uint16))
        frames = SimpleNamespace(get_color_frame=lambda: color, get_depth_frame=lambda: depth)
        lens = SimpleNamespace(fx=60.0, fy=61.0, ppx=31.5, ppy=23.5)
        stream = SimpleNamespace(as_video_stream_profile=lambda: SimpleNamespace(get_intrinsics=lambda: lens))
        sensor = SimpleNamespace(get_depth_scale=lambda: 0.0005)
        profile = SimpleNamespace(
            get_device=lambda: SimpleNamespace(first_depth_sensor=lambda: sensor), get_stream=lambda _: stream
        )

        def started(_: Any) -> Any:
            if broken == "start":
                raise RuntimeError("No device connected")
            return profile

        def waited(_: int) -> Any:
            if broken == "read":
                raise RuntimeError("Frame didn't arrive within 1000")
            return frames

        self.wanted: list[Any] = []
        super().__init__(
            stream=SimpleNamespace(color="color", depth="depth"),
            format=SimpleNamespace(rgb8="rgb8", z16="z16"),
            timestamp_domain=SimpleNamespace(hardware_clock="hardware_clock"),
            config=lambda: SimpleNamespace(
                enable_device=self.wanted.append, enable_stream=lambda *a: self.wanted.append(a)
            ),
            pipeline=lambda: SimpleNamespace(start=started, wait_for_frames=waited, stop=lambda: None),
            align=lambda _: SimpleNamespace(process=lambda f: f),
        )


def realsense(monkeypatch: pytest.MonkeyPatch, sdk: FakeSdk, **settings: Any) -> RealSenseSource:
    monkeypatch.setitem(sys.modules, "pyrealsense2", sdk)
    return RealSenseSource("front", RealSenseSettings(**settings), ABOVE, lambda: 12.5)


def test_a_realsense_delivers_aligned_metres_under_its_own_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = FakeSdk()
    frame = realsense(monkeypatch, sdk, serial="0042", rate_hz=15).read()
    assert frame is not None
    assert frame.stamp_s == pytest.approx(12.34)
    np.testing.assert_allclose(frame.depth, 1.0)
    assert (frame.intrinsics[0, 0], frame.intrinsics[1, 1]) == (60.0, 61.0)
    assert sdk.wanted[0] == "0042"
    assert ("color", 640, 480, "rgb8", 15) in sdk.wanted


def test_a_clock_of_the_device_alone_gives_the_arrivals_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = realsense(monkeypatch, FakeSdk(domain="hardware_clock")).read()
    assert frame is not None
    assert frame.stamp_s == 12.5


def test_without_the_sdk_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(MissingExtra, match=r"pyrealsense2.*vls_steering\[realsense\]"):
        RealSenseSource("front", RealSenseSettings(), ABOVE, lambda: 0.0)


@pytest.mark.parametrize(("broken", "said"), [("start", "No device connected"), ("read", "didn't arrive")])
def test_a_realsense_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, broken: str, said: str) -> None:
    with pytest.raises(StreamFault, match=said):
        realsense(monkeypatch, FakeSdk(broken=broken)).read()
