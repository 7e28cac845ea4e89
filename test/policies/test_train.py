"""Dataset windows, training, and checkpoints that survive a round trip and refuse damage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.base import make_example_observation
from vls_steering.policies.checkpoint import card_path, load_card, load_policy
from vls_steering.policies.dataset import PAST_END_STEPS, fit_action_space, load_demonstrations
from vls_steering.policies.train import TrainOptions, TrainRecipe, train

OPTIONS = TrainOptions(save_every=50, log_every=10)


@pytest.fixture(scope="module")
def trained(reaches: Path, recipe: TrainRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "reach.safetensors"
    train(reaches, path, recipe, replace(OPTIONS, keep_every=50))
    return path


def test_policies_on_the_way_are_kept_and_usable(trained: Path, reaches: Path, recipe: TrainRecipe) -> None:
    kept = [trained.with_name(f"reach.step{step}.safetensors") for step in (50, 100)]
    assert [load_card(path).training["step"] for path in kept] == [50, 100]
    assert load_policy(kept[0]).sha256 != load_policy(kept[1]).sha256 == load_policy(trained).sha256
    with pytest.raises(ConfigurationError, match="multiple"):
        train(reaches, trained, recipe, replace(OPTIONS, keep_every=70))


def test_windows_stay_inside_their_episode(reaches: Path) -> None:
    data = load_demonstrations(reaches)
    assert data.history(torch.tensor([30, 31])).tolist() == [[30, 30], [30, 31]]
    assert data.future(torch.tensor([57]), 5).tolist() == [[57, 58, 59, 59, 59]]


def test_held_out_episodes_are_whole_and_disjoint(reaches: Path) -> None:
    data = load_demonstrations(reaches)
    training, validation = data.split(0.2, seed=3)
    assert not set(data.episode[training].tolist()) & set(data.episode[validation].tolist())
    assert len(training) + len(validation) == len(data.tcp)


def test_action_scales_grow_along_the_chunk(reaches: Path) -> None:
    data = load_demonstrations(reaches)
    scales = fit_action_space(data, torch.arange(len(data.tcp)), 16, 0.1).position_scale_m
    assert np.all(np.diff(scales) >= 0)


def test_training_lowers_the_loss_and_writes_its_curve(trained: Path) -> None:
    curve = json.loads(trained.with_name("reach_curve.json").read_text())
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert curve[-1]["validation_loss"] < curve[0]["loss"]
    assert trained.with_name("reach_curve.png").exists()


def test_a_flow_policy_is_trained_on_the_same_data(reaches: Path, recipe: TrainRecipe, tmp_path: Path) -> None:
    path = tmp_path / "flow.safetensors"
    train(reaches, path, recipe.model_copy(update={"process": "flow"}), OPTIONS)
    curve = json.loads(path.with_name("flow_curve.json").read_text())
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert load_policy(path).schedule.name == "flow"


def test_a_checkpoint_round_trips_and_predicts_with_gradients(trained: Path) -> None:
    policy, again = load_policy(trained), load_policy(trained)
    encoding = policy.encode([make_example_observation()])
    x = torch.randn(5, 16, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    clean = policy.predict_clean(encoding, x, torch.linspace(0.1, 1.0, 5))
    assert clean.shape == (5, 16, 4)
    assert torch.equal(clean, again.predict_clean(encoding, x, torch.linspace(0.1, 1.0, 5)))
    (gradient,) = torch.autograd.grad(clean.square().sum(), x)
    assert gradient.abs().amax(dim=(1, 2)).min() > 0


def test_rows_of_a_batch_do_not_see_one_another(trained: Path) -> None:
    policy = load_policy(trained)
    encoding = policy.encode([make_example_observation()])
    x, level = torch.randn(4, 16, 4), torch.tensor([0.1, 0.4, 0.7, 1.0])
    together = policy.predict_clean(encoding, x, level)
    alone = torch.cat([policy.predict_clean(encoding, x[i : i + 1], level[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_card_says_where_the_weights_come_from(trained: Path, reaches: Path) -> None:
    card = load_card(trained)
    assert card.training["dataset_sha256"] == load_demonstrations(reaches).sha256
    assert card.training["recipe"]["seed"] == 0
    assert card.parameters == sum(p.numel() for p in load_policy(trained).network.parameters())


def test_one_flipped_bit_is_refused(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / trained.name
    weights = bytearray(trained.read_bytes())
    weights[-1] ^= 1
    copy.write_bytes(weights)
    card_path(copy).write_bytes(card_path(trained).read_bytes())
    with pytest.raises(ConfigurationError, match="SHA-256"):
        load_policy(copy)


def test_a_missing_card_is_named(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / trained.name
    copy.write_bytes(trained.read_bytes())
    with pytest.raises(ConfigurationError, match=r"reach\.json"):
        load_policy(copy)


def test_a_run_cut_short_goes_on_exactly_where_it_was(reaches: Path, recipe: TrainRecipe, tmp_path: Path) -> None:
    # A constant learning rate: the budget then leaves no trace in the weights.
    short = recipe.model_copy(update={"final_share": 1.0, "steps": 20})
    cut, whole = tmp_path / "cut.safetensors", tmp_path / "whole.safetensors"
    options = replace(OPTIONS, log_every=1000, save_every=1000)
    train(reaches, cut, short.model_copy(update={"steps": 8}), options)
    train(reaches, cut, short, options)
    train(reaches, whole, short, options)
    assert load_card(cut).sha256 == load_card(whole).sha256


def test_the_state_of_another_recipe_is_not_overwritten(reaches: Path, recipe: TrainRecipe, tmp_path: Path) -> None:
    out = tmp_path / "p.safetensors"
    train(reaches, out, recipe.model_copy(update={"steps": 2}), OPTIONS)
    with pytest.raises(ConfigurationError, match="another recipe"):
        train(reaches, out, recipe.model_copy(update={"seed": 1}), OPTIONS)


def test_the_clock_ends_a_run(reaches: Path, recipe: TrainRecipe, tmp_path: Path) -> None:
    limited = recipe.model_copy(update={"steps": 10**6, "minutes": 0.01})
    last = train(reaches, tmp_path / "p.safetensors", limited, OPTIONS)
    assert 0.6 <= last.seconds < 5.0
    assert last.learning_rate < 0.05 * recipe.learning_rate


def test_a_dataset_without_a_column_is_refused(reaches: Path, tmp_path: Path) -> None:
    with np.load(reaches) as archive:
        columns = {name: archive[name] for name in archive.files if name != "present"}
    np.savez(tmp_path / "bad.npz", **columns)
    with pytest.raises(ConfigurationError, match="present"):
        load_demonstrations(tmp_path / "bad.npz")


def test_training_starts_from_an_earlier_policy(reaches: Path, recipe: TrainRecipe, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train(reaches, first, recipe)
    unmoved = recipe.model_copy(update={"steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0})
    train(reaches, second, unmoved, initial_path=first)
    assert load_card(second).training["initial_sha256"] == load_card(first).sha256
    before, after = load_policy(first).network, load_policy(second).network
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-5, rtol=1e-4)


def test_an_end_that_is_no_resting_place_starts_no_window(reaches: Path, tmp_path: Path) -> None:
    with np.load(reaches) as archive:
        arrays = dict(archive)
    arrays["ends_at_rest"] = np.zeros_like(arrays["ends_at_rest"])
    path = tmp_path / "moving.npz"
    np.savez(path, **arrays)
    data = load_demonstrations(path)
    to_go = data.last - torch.arange(len(data.last)) + 1
    assert not bool(data.starts_window[to_go <= PAST_END_STEPS].any())
    assert bool(data.starts_window[to_go > PAST_END_STEPS].all())
