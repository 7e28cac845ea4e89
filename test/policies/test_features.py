"""Observation history to feature vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import Observation
from vls_steering.policies.base import make_example_observation
from vls_steering.policies.features import (
    FEATURE_SIZE,
    OBJECT_SLOTS,
    STEP_SIZE,
    SensorNoise,
    fit_normaliser,
    observation_features,
    previous_observation,
    step_features,
)


def moved(stamp_s: float, x_m: float) -> Observation:
    observation = make_example_observation(stamp_s)
    return replace(observation, robot=replace(observation.robot, tcp_position=np.array([x_m, 0.0, 0.3])))


def test_a_step_lists_relative_objects_presence_hand_and_gripper() -> None:
    current = observation_features([make_example_observation()], 0.1)[0, STEP_SIZE:]
    torch.testing.assert_close(current[:3], torch.tensor([0.10, 0.10, -0.281]))
    green = 3 * OBJECT_SLOTS.index("green cylinder")
    assert (current[green : green + 3] == 0.0).all()
    assert current[15:20].tolist() == [1.0, 1.0, 0.0, 0.0, 1.0]
    torch.testing.assert_close(current[20:], torch.tensor([0.40, 0.0, 0.30, 0.08]))


def test_a_lone_observation_is_repeated() -> None:
    features = observation_features([make_example_observation()], 0.1)
    assert features.shape == (1, FEATURE_SIZE)
    assert torch.equal(features[:, :STEP_SIZE], features[:, STEP_SIZE:])


def test_history_goes_by_stamps_not_by_position_in_the_list() -> None:
    stream = [moved(0.01 * i, 0.4 + 0.001 * i) for i in range(31)]
    assert previous_observation(stream, 0.1).stamp_s == pytest.approx(0.20)
    features = observation_features(stream, 0.1)[0]
    assert float(features[20]) == pytest.approx(0.42)
    assert float(features[STEP_SIZE + 20]) == pytest.approx(0.43)


def test_a_gap_in_the_stream_does_not_look_like_a_fast_motion() -> None:
    assert previous_observation([moved(0.0, 0.2), moved(5.0, 0.6)], 0.1).stamp_s == 5.0


def test_no_observation_is_an_error() -> None:
    with pytest.raises(ShapeError):
        observation_features([], 0.1)


def test_normalising_keeps_zero_at_the_object_and_presence_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    tcp, objects = torch.rand(200, 3, generator=generator), torch.rand(200, 5, 3, generator=generator)
    present = torch.rand(200, 5, generator=generator) < 0.7
    steps = step_features(tcp, torch.full((200,), 0.04), objects, present)
    normaliser = fit_normaliser(steps, present)
    assert normaliser.mean[:20] == (0.0,) * 20
    assert normaliser.scale[15:20] == (1.0,) * 5
    normal = normaliser.apply(torch.cat([steps, steps], dim=1))
    torch.testing.assert_close(normal[:, 20:23].std(dim=0), torch.ones(3), atol=0.01, rtol=0.0)


def test_sensor_noise_has_the_promised_size_and_a_bias_common_to_the_window() -> None:
    noise = SensorNoise(object_window_m=0.004, object_step_m=0.0015, tcp_m=0.001)
    tcp, objects = noise.apply(torch.zeros(4000, 2, 3), torch.zeros(4000, 2, 5, 3), torch.Generator().manual_seed(1))
    assert float(tcp.std()) == pytest.approx(0.001, rel=0.05)
    assert float(objects.std()) == pytest.approx((0.004**2 + 0.0015**2) ** 0.5, rel=0.05)
    assert float((objects[:, 1] - objects[:, 0]).std()) == pytest.approx(0.0015 * 2**0.5, rel=0.05)
