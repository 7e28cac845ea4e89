"""Settings of the executor; every field becomes a ROS parameter with the same description and range."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from vls_steering.core.config import Settings

Point = tuple[float, float, float]


class ExecutorSettings(Settings):
    """What the executor accepts, how hard it moves and how long it waits."""

    control_period_s: float = Field(0.01, ge=0.0005, le=0.02, description="Time between two set-points")
    lead_s: float = Field(
        0.0, ge=0.0, le=0.2, description="How far ahead of now the chunk is read, to make up for the arm's own lag"
    )

    velocity_fraction: float = Field(0.6, ge=0.05, le=0.9, description="Share of the arm's velocity limits in use")
    acceleration_fraction: float = Field(0.9, ge=0.05, le=0.95, description="Share of the acceleration limits in use")
    jerk_fraction: float = Field(
        0.2, ge=0.02, le=0.3, description="Share of the jerk limits in use; with more the hand could break its own"
    )
    plan_fraction: float = Field(
        0.8, ge=0.1, le=0.9, description="Share of the limits in use that a chunk may ask for; the rest joins and stops"
    )
    joint_margin_rad: float = Field(0.05, ge=0.02, le=0.3, description="Distance kept from every joint stop")
    max_stretch: float = Field(2.0, ge=1.0, le=5.0, description="A chunk too fast by more than this factor is rejected")

    workspace_lower_m: Point = Field((0.20, -0.45, 0.005), description="Lower corner of the box the TCP stays in")
    workspace_upper_m: Point = Field((0.75, 0.45, 0.70), description="Upper corner of the box the TCP stays in")
    max_tilt_rad: float = Field(0.35, ge=0.0, le=1.6, description="Largest angle of the hand from straight down")
    max_tcp_speed_m_s: float = Field(0.8, ge=0.05, le=2.0, description="Largest TCP speed between two steps")
    max_start_gap_m: float = Field(0.10, ge=0.01, le=0.3, description="Largest distance from the arm to a new chunk")
    singularity_slow: float = Field(
        17.0, ge=2.0, le=1000.0, description="Condition number of the Jacobian from which an approach is slowed down"
    )
    singularity_stop: float = Field(
        30.0,
        ge=3.0,
        le=1000.0,
        description="Condition number of the Jacobian that no motion exceeds or raises",
    )
    self_clearance_m: float = Field(0.01, ge=0.0, le=0.1, description="Least distance of two parts of the arm")
    keep_out_clearance_m: float = Field(
        0.01, ge=0.0, le=0.2, description="Least distance of arm and hand to the table and to the keep-out boxes"
    )
    keep_out_boxes_m: tuple[float, ...] = Field(
        (), description="Boxes to stay out of, six numbers each: lower corner, upper corner, base frame"
    )
    ik_tolerance_m: float = Field(0.003, ge=1e-4, le=0.02, description="Largest miss of a joint solution")

    max_chunk_hz: float = Field(200.0, ge=1.0, le=2000.0, description="More chunks a second than this are a flood")
    max_horizon: int = Field(64, ge=1, le=1000, description="Most steps a chunk may have")
    max_step_gap_s: float = Field(0.5, ge=0.02, le=2.0, description="Longest time between two steps of a chunk")
    max_chunk_age_s: float = Field(0.6, ge=0.05, le=5.0, description="Oldest observation a chunk may be planned from")
    max_clock_skew_s: float = Field(0.02, ge=0.0, le=0.5, description="How far in the future a stamp may lie")
    join_min_s: float = Field(0.1, ge=0.02, le=0.5, description="Shortest time in which the arm joins a new chunk")

    chunk_timeout_s: float = Field(0.6, ge=0.05, le=5.0, description="Without a good chunk this long the arm stops")
    policy_timeout_s: float = Field(1.5, ge=0.1, le=60.0, description="Without any chunk this long the stop latches")
    joint_state_timeout_s: float = Field(0.2, ge=0.005, le=2.0, description="Oldest joint state to move with")
    stream_timeouts_s: dict[str, float] = Field(
        default_factory=dict, description="Further streams that must stay alive, with the longest silence of each"
    )
    control_stall_s: float = Field(0.5, ge=0.02, le=5.0, description="A longer gap in the control loop stops the arm")
    # Lag alone must not reach it: 46 ms behind a wrist that turns at 2.4 rad/s are 0.11 rad.
    max_deviation_rad: float = Field(
        0.12, ge=0.01, le=1.0, description="Largest distance of joint and set-point, lag included"
    )
    max_standing_error_rad: float = Field(
        0.05, ge=0.002, le=0.2, description="A resting arm farther from its set-point is not armed again from there"
    )
    rest_velocity_rad_s: float = Field(0.05, ge=0.001, le=0.5, description="An arm slower than this may be armed")

    gripper_close_below_m: float = Field(0.03, ge=0.0, le=0.08, description="A narrower step closes the hand")
    gripper_open_above_m: float = Field(0.05, ge=0.0, le=0.08, description="A wider step opens the hand")

    @field_validator("stream_timeouts_s")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        if any(timeout <= 0 for timeout in value.values()):
            raise ValueError("every time-out must be positive")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> ExecutorSettings:
        if not all(low < high for low, high in zip(self.workspace_lower_m, self.workspace_upper_m, strict=True)):
            raise ValueError("workspace_lower_m must lie below workspace_upper_m in every axis")
        if self.singularity_slow >= self.singularity_stop:
            raise ValueError("singularity_slow must lie below singularity_stop")
        if len(self.keep_out_boxes_m) % 6:
            raise ValueError("keep_out_boxes_m takes six numbers a box: lower corner, upper corner")
        boxes = zip(*[iter(self.keep_out_boxes_m)] * 6, strict=True)
        if not all(low < high for box in boxes for low, high in zip(box[:3], box[3:], strict=True)):
            raise ValueError("the first corner of a keep-out box must lie below the second in every axis")
        if self.gripper_close_below_m >= self.gripper_open_above_m:
            raise ValueError("gripper_close_below_m must lie below gripper_open_above_m")
        return self
