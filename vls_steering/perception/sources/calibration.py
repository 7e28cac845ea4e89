"""A camera's calibration as ROS tools write and name it: `camera_info_url`, the YAML of camera_calibration.

Format: docs.ros.org, camera_calibration_parsers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vls_steering.core.arrays import FloatArray, frozen_array
from vls_steering.core.config import Settings, load_yaml, parse_settings
from vls_steering.core.errors import ConfigurationError, ShapeError

PackageShare = Callable[[str], Path]


class _Matrix(Settings):
    rows: int = Field(ge=1, le=3, description="rows")
    cols: int = Field(ge=1, le=14, description="columns")
    data: tuple[float, ...] = Field(description="row by row")

    @property
    def array(self) -> FloatArray:
        return np.array(self.data, dtype=np.float64).reshape(self.rows, self.cols)


class _CalibrationFile(Settings):
    image_width: int = Field(ge=1, description="pixels")
    image_height: int = Field(ge=1, description="pixels")
    camera_name: str = Field("", description="as the driver calls it")
    camera_matrix: _Matrix
    distortion_model: str = Field("plumb_bob", description="plumb_bob, rational_polynomial or equidistant")
    distortion_coefficients: _Matrix
    rectification_matrix: _Matrix | None = None
    projection_matrix: _Matrix | None = None


@dataclass(frozen=True)
class Calibration:
    """Turns a lens's picture into a pinhole's."""

    width: int
    height: int
    intrinsics: FloatArray  # (3, 3) of the lens
    distortion: FloatArray  # (N,) of OpenCV's models; equidistant: its fisheye model
    pinhole: FloatArray  # (3, 3) of the rectified picture
    fisheye: bool = False

    def __post_init__(self) -> None:
        for name in ("intrinsics", "pinhole"):
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), (3, 3)))

    def rectify(self, color: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) as a pinhole camera of `pinhole` would see it; raises ShapeError for a picture of another size."""
        if color.shape[:2] != (self.height, self.width):
            found = f"{color.shape[1]}x{color.shape[0]}"
            raise ShapeError(f"the camera delivers {found} pixels, it was calibrated for {self.width}x{self.height}")
        if not self.distortion.any():
            return color
        undistort = cv2.fisheye.undistortImage if self.fisheye else cv2.undistort
        return np.asarray(undistort(color, self.intrinsics, self.distortion, None, self.pinhole), dtype=np.uint8)


def load_calibration(url: str, package_share: PackageShare | None = None) -> Calibration:
    """From a path, `file://` or `package://` URL; raises ConfigurationError that names the file and what is wrong.

    `package_share` tells the share folder of a ROS package; only nodes know one.
    """
    path = _path_of(url, package_share)
    file = parse_settings(_CalibrationFile, load_yaml(path), str(path))
    if file.distortion_model not in ("plumb_bob", "rational_polynomial", "equidistant"):
        raise ConfigurationError(f"{path}: unknown distortion_model {file.distortion_model!r}")
    try:
        intrinsics, distortion = file.camera_matrix.array, file.distortion_coefficients.array.ravel()
        pinhole = file.projection_matrix.array[:, :3] if file.projection_matrix is not None else intrinsics
        return Calibration(
            file.image_width, file.image_height, intrinsics, distortion, pinhole, file.distortion_model == "equidistant"
        )
    except (ValueError, ShapeError) as error:
        raise ConfigurationError(f"{path}: {error}", "Calibrate the camera again") from error


def _path_of(url: str, package_share: PackageShare | None) -> Path:
    parts = urlparse(url)
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path)).expanduser()
    if parts.scheme == "package" and package_share is not None:
        return package_share(parts.netloc) / unquote(parts.path).lstrip("/")
    raise ConfigurationError(f"camera_info_url {url!r} is not understood", "Give a path, file:// or package://")
