"""Every knob of the perception: unit, range and meaning in one place."""

from __future__ import annotations

from pydantic import Field

from vls_steering.core.config import Settings


class WorkspaceSettings(Settings):
    """What lies outside this box of the base frame is not looked at."""

    x_min_m: float = Field(0.20, ge=-2.0, le=2.0, description="nearest x to the robot base")
    x_max_m: float = Field(0.85, ge=-2.0, le=2.0, description="farthest x")
    y_min_m: float = Field(-0.45, ge=-2.0, le=2.0, description="rightmost y")
    y_max_m: float = Field(0.45, ge=-2.0, le=2.0, description="leftmost y")
    height_m: float = Field(0.60, gt=0.0, le=2.0, description="greatest height above the support plane")


class PlaneSettings(Settings):
    """The support plane, found by RANSAC near the horizontal."""

    hypotheses: int = Field(48, ge=1, le=1000, description="planes through three random points that are tried")
    samples: int = Field(1200, ge=50, le=20000, description="points that vote")
    inlier_m: float = Field(0.006, gt=0.0, le=0.05, description="distance within which a point supports a plane")
    tilt_max_rad: float = Field(0.08, gt=0.0, le=0.5, description="largest angle between the plane and the horizontal")
    height_min_m: float = Field(-0.20, ge=-2.0, le=2.0, description="lowest believable plane in the base frame")
    height_max_m: float = Field(0.20, ge=-2.0, le=2.0, description="highest believable plane in the base frame")
    share_min: float = Field(0.2, ge=0.0, le=1.0, description="share of the points that must lie on the plane")
    drift_max_m: float = Field(
        0.008, gt=0.0, le=0.1, description="largest change between pictures; a plate's top must not pass for the table"
    )


class SegmentSettings(Settings):
    """What counts as an object above the plane."""

    clearance_m: float = Field(0.004, gt=0.0, le=0.05, description="height above the plane at which an object begins")
    object_min_m: float = Field(0.007, gt=0.0, le=0.1, description="an object at least this high; less is a mark")
    grey_min_m: float = Field(0.010, gt=0.0, le=0.1, description="the same for things without a colour")
    pixels_min: int = Field(24, ge=4, le=10000, description="smallest component")
    grey_pixels_min: int = Field(60, ge=4, le=10000, description="smallest component of things without a colour")
    top_band_m: float = Field(0.003, gt=0.0, le=0.05, description="thickness of the layer taken for the top face")
    occluder_m: float = Field(
        0.015, gt=0.0, le=0.2, description="a neighbour this much nearer hides part of the object"
    )
    robot_margin_m: float = Field(0.02, ge=0.0, le=0.2, description="added around the robot's own volume")


class TrackSettings(Settings):
    """How sightings become keypoints that persist."""

    gate_m: float = Field(0.06, gt=0.0, le=1.0, description="largest believable motion between two updates")
    merge_m: float = Field(0.04, gt=0.0, le=0.5, description="gap below which two cameras' views are one object")
    fragment_m: float = Field(
        0.012, gt=0.0, le=0.5, description="a piece within this margin of a known object of its colour belongs to it"
    )
    confirm_updates: int = Field(3, ge=1, le=100, description="updates that a jump or an unnamed thing must persist")
    confirm_spread_m: float = Field(0.025, gt=0.0, le=0.5, description="spread allowed among those updates")
    size_gain: float = Field(0.2, gt=0.0, le=1.0, description="filter gain of the size")
    shrink_m: float = Field(0.008, gt=0.0, le=0.2, description="a view smaller than known by more than this is partial")
    shrink: float = Field(0.06, ge=0.0, le=1.0, description="the same as a share of the known size; the larger counts")
    top_hidden_m: float = Field(
        0.015, gt=0.0, le=0.2, description="a view that ends this far below the known top shows only a side"
    )
    grasp_reach_m: float = Field(0.045, gt=0.0, le=0.2, description="distance from the TCP within which a grip holds")
    grip_width_share: float = Field(
        0.6, ge=0.0, le=1.0, description="least finger distance of a grip, as a share of the object's narrow side"
    )
    grip_gain: float = Field(0.3, ge=0.0, le=1.0, description="how much a view corrects a held object's offset")
    release_s: float = Field(0.4, ge=0.0, le=5.0, description="time without grip after which an object is let go")
    release_opening_m: float = Field(
        0.006, gt=0.0, le=0.08, description="change of the grip's width that ends it at once"
    )


class FlowSettings(Settings):
    """Optical flow between two segmentations."""

    segment_every: int = Field(
        1, ge=1, le=1000, description="updates from one segmentation to the next; flow carries keypoints in between"
    )
    search_s: float = Field(
        2.0, ge=0.0, le=60.0, description="an object out of view is sought in every update for so long"
    )
    points: int = Field(16, ge=3, le=200, description="most points that are followed on one object")
    quality: float = Field(0.03, gt=0.0, lt=1.0, description="weakest corner, as a share of the object's strongest")
    spacing_px: float = Field(2.0, ge=1.0, le=50.0, description="least distance of two points")
    margin_m: float = Field(0.015, ge=0.0, le=0.2, description="a point farther outside its object's box is not of it")
    return_px: float = Field(0.7, gt=0.0, le=10.0, description="largest error of a point that is tracked back again")
    step_m: float = Field(0.08, gt=0.0, le=1.0, description="largest believable motion of a point between two pictures")
    inlier_m: float = Field(0.006, gt=0.0, le=0.05, description="distance within which a point supports a rigid motion")
    hypotheses: int = Field(24, ge=1, le=1000, description="rigid motions of three random points that are tried")
    still_px: float = Field(0.25, ge=0.0, le=5.0, description="median motion in the picture below which nothing moved")


class MotionSettings(Settings):
    """How objects move, and how well a sighting measures them; standard deviations are per axis."""

    whole_m: float = Field(0.002, gt=0.0, le=0.1, description="deviation of a place from a view of the whole object")
    side_m: float = Field(0.003, gt=0.0, le=0.1, description="the same from one of its sides and its known size")
    grip_m: float = Field(0.003, gt=0.0, le=0.1, description="the same of an object between the fingers")
    flow_m: float = Field(0.001, gt=0.0, le=0.1, description="the same that each step of the optical flow adds")
    bias_m: float = Field(0.0015, ge=0.0, le=0.1, description="part of it that repeated views do not reduce")
    drift_m: float = Field(
        0.0035, gt=0.0, le=0.5, description="what a seen object may move in 1 s, unless it is pushed"
    )
    hidden_drift_m: float = Field(0.010, gt=0.0, le=0.5, description="the same for an object that cannot be seen")
    surprise: float = Field(4.0, gt=0.0, description="normalised squared innovation that means a manoeuvre")
    velocity_s: float = Field(0.3, gt=0.0, le=10.0, description="time constant with which an unseen motion ends")
    travel_share: float = Field(0.5, ge=0.0, le=5.0, description="deviation of a predicted motion, as a share of it")
    gate_sigmas: float = Field(3.0, ge=0.0, le=10.0, description="deviations by which the association gate grows")


class PerceptionSettings(Settings):
    """One perception pipeline: lift -> plane -> robot mask -> segment -> merge -> track, with flow in between."""

    workspace: WorkspaceSettings = WorkspaceSettings()
    plane: PlaneSettings = PlaneSettings()
    segment: SegmentSettings = SegmentSettings()
    flow: FlowSettings = FlowSettings()
    motion: MotionSettings = MotionSettings()
    track: TrackSettings = TrackSettings()
