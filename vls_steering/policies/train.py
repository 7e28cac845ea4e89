"""Demonstrations -> frozen policy: regression with an averaged network, cut-proof and time-limited.

`python -m vls_steering.policies.train --dataset D.npz --out F.safetensors --minutes 60`
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.checkpoint import load_policy, save_policy, write_atomically
from vls_steering.policies.dataset import WindowGatherer, fit_action_space, fit_features, load_demonstrations
from vls_steering.policies.features import SensorNoise
from vls_steering.policies.process import ProcessName, make_process
from vls_steering.policies.training_log import CurvePoint, TrainingLog
from vls_steering.policies.unet import ConditionalUNet, UNetSettings


class TrainRecipe(Settings):
    """Everything that decides the weights, apart from the data."""

    process: ProcessName = Field("diffusion", description="diffusion: clean sample, cosine; flow: velocity, straight")
    network: UNetSettings = Field(UNetSettings(), description="architecture")
    alpha_floor: float = Field(0.01, gt=0.0, lt=1.0, description="share of the clean chunk in pure noise")
    step_s: float = Field(0.1, gt=0.0, description="time between steps of the dataset and of a chunk")
    steps: int = Field(100_000, ge=1, description="gradient steps at most")
    minutes: float = Field(
        600.0, gt=0.0, description="wall-clock limit; the learning rate ends with whichever is first"
    )
    batch: int = Field(256, ge=1, description="windows per gradient step")
    learning_rate: float = Field(1e-3, gt=0.0, description="peak of the cosine")
    warm_up_steps: int = Field(500, ge=1, description="linear rise of the learning rate")
    final_share: float = Field(0.01, ge=0.0, le=1.0, description="learning rate at the end / at the peak")
    weight_decay: float = Field(1e-3, ge=0.0, description="AdamW")
    gradient_norm: float = Field(1.0, gt=0.0, description="clip of the global gradient norm")
    average_decay: float = Field(0.9995, ge=0.0, lt=1.0, description="exponential moving average of the weights")
    level_weight_cap: float = Field(5.0, ge=1.0, description="largest loss weight min(1/sigma^2, cap) of a noise level")
    gripper_weight: float = Field(3.0, gt=0.0, description="loss weight of the gripper, whose range is a third")
    last_step_weight: float = Field(0.5, gt=0.0, description="loss weight of the last chunk step; the first has 1")
    object_window_noise_m: float = Field(0.004, ge=0.0, description="keypoint bias over a history window")
    object_step_noise_m: float = Field(0.0015, ge=0.0, description="keypoint noise of each observation")
    tcp_noise_m: float = Field(0.001, ge=0.0, description="noise of the measured TCP")
    validation_share: float = Field(0.02, gt=0.0, lt=1.0, description="episodes held out")
    precision: Literal["float32", "bfloat16"] = Field("bfloat16", description="of the products, until the finish")
    float32_finish: float = Field(0.15, ge=0.0, le=1.0, description="last share of the run, always in float32")
    seed: int = Field(0, ge=0, description="weights, batches, noise and the held-out episodes")


@dataclass(frozen=True)
class TrainOptions:
    """What does not change the weights: reporting and how often progress is saved."""

    device: str = "cpu"
    save_every: int = 1000
    keep_every: int = 0  # steps between policies that are kept, for a success curve; a multiple of save_every; 0: none
    log_every: int = 100
    validation_batch: int = 2048


@dataclass
class _Progress:
    step: int = 0
    seconds: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)

    def fraction(self, recipe: TrainRecipe) -> float:
        """Share of the run that is over, by steps or by time, whichever is further."""
        return max(self.step / recipe.steps, self.seconds / (60.0 * recipe.minutes))


def train(
    dataset_path: Path,
    out_path: Path,
    recipe: TrainRecipe,
    options: TrainOptions | None = None,
    initial_path: Path | None = None,
) -> CurvePoint:
    """Train, or go on with the run that a cut left beside `out_path`; returns the last point of the curve.

    `initial_path` starts from the weights and normalisers of an earlier policy, whose hash goes into the card.

    Writes the averaged weights and card (usable at any time), `.state.pt` to go on from, and the loss
    curve as JSON and PNG.  Raises ConfigurationError on a bad dataset, or when the state beside
    `out_path` belongs to another recipe or dataset.
    """
    options = options or TrainOptions()
    if options.keep_every % options.save_every:
        raise ConfigurationError(
            f"keep_every {options.keep_every} is no multiple of save_every {options.save_every}", "Choose a multiple"
        )
    device = torch.device(options.device)
    data = load_demonstrations(dataset_path)
    training_steps, validation_steps = data.split(recipe.validation_share, recipe.seed)
    initial = load_policy(initial_path) if initial_path is not None else None
    if initial is None:
        action_space = fit_action_space(data, training_steps, recipe.network.horizon, recipe.step_s)
        normaliser = fit_features(data, training_steps)
    else:
        action_space, normaliser = initial.action_space, initial.normaliser
    gatherer = WindowGatherer(data.to(device), action_space, normaliser)
    run = TrainingRun(recipe, gatherer, training_steps.to(device), device, identity=_identity(recipe, data.sha256))
    if initial is not None:
        run.begin_from(initial.network.state_dict())
    stride = max(1, len(validation_steps) // options.validation_batch)
    # Drawn before any resumption restores the random state, so that every point of a curve has the same noise.
    validation = run.loss_inputs(validation_steps[::stride].to(device))
    state_path = out_path.with_suffix(".state.pt")
    if state_path.exists():
        run.resume(state_path)

    def save() -> None:
        training = {
            "recipe": recipe.model_dump(mode="json"),
            "dataset_sha256": data.sha256,
            "dataset_steps": len(data.tcp),
            "episodes": int(torch.unique(data.episode).numel()),
            "initial_sha256": initial.sha256 if initial is not None else None,
            "step": run.progress.step,
            "minutes": round(run.progress.seconds / 60.0, 2),
            "validation_loss": run.progress.curve[-1].validation_loss,
        }
        save_policy(out_path, run.average, normaliser, action_space, run.process, training)
        if options.keep_every and run.progress.step % options.keep_every == 0:
            kept_path = out_path.with_name(f"{out_path.stem}.step{run.progress.step}{out_path.suffix}")
            save_policy(kept_path, run.average, normaliser, action_space, run.process, training)
        run.save(state_path)
        log.write_curve(run.progress.curve)

    log = TrainingLog(out_path, run.describe(), run.progress.step, run.progress.seconds)
    with log:
        while run.progress.fraction(recipe) < 1.0:
            run.advance()
            over = run.progress.fraction(recipe) >= 1.0
            if over or run.progress.step % options.log_every == 0:
                at_save = over or run.progress.step % options.save_every == 0
                run.progress.curve.append(run.measure(validation if at_save else None))
                log.show(run.progress.curve[-1], run.progress.fraction(recipe))
                if at_save:
                    save()
    return run.progress.curve[-1]


def _identity(recipe: TrainRecipe, dataset_sha256: str) -> dict[str, Any]:
    """What must not change between a cut and its resumption; budgets may."""
    return {"recipe": recipe.model_dump(mode="json", exclude={"steps", "minutes"}), "dataset": dataset_sha256}


@dataclass(frozen=True)
class _LossInputs:
    """One batch with its noise drawn: features (B, F), target and noisy (B, H, A), level (B,)."""

    features: Tensor
    target: Tensor
    noisy: Tensor
    level: Tensor


class TrainingRun:
    """Network, average, optimiser and random state of one run; `advance` is one gradient step."""

    def __init__(
        self,
        recipe: TrainRecipe,
        gatherer: WindowGatherer,
        steps: Tensor,
        device: torch.device,
        identity: dict[str, Any],
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.progress = recipe, _Progress()
        self.process = make_process(recipe.process, recipe.alpha_floor)
        self.network = ConditionalUNet(recipe.network).to(device)
        self.average = ConditionalUNet(recipe.network).to(device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self._gatherer, self._steps, self._device, self._identity = gatherer, steps, device, identity
        self._generator = torch.Generator(device).manual_seed(recipe.seed)
        self._noise = SensorNoise(recipe.object_window_noise_m, recipe.object_step_noise_m, recipe.tcp_noise_m)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay,
            fused=True,
        )  # fmt: skip
        near_first = torch.linspace(1.0, recipe.last_step_weight, recipe.network.horizon, device=device)
        self._weights = near_first[:, None] * torch.tensor([1.0, 1.0, 1.0, recipe.gripper_weight], device=device)
        self._loss_sum = torch.zeros((), device=device)
        self._loss_count = 0
        self._clock_mark = time.monotonic()

    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Replace the random initial weights."""
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def describe(self) -> str:
        windows, batches = len(self._steps), len(self._steps) / self.recipe.batch
        return f"{windows} training windows, {batches:.0f} batches of {self.recipe.batch} an epoch, {self._device}"

    def advance(self) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate()
        chosen = torch.randint(len(self._steps), (self.recipe.batch,), generator=self._generator, device=self._device)
        finishing = self.progress.fraction(self.recipe) >= 1.0 - self.recipe.float32_finish
        dtype = torch.float32 if finishing else getattr(torch, self.recipe.precision)
        loss = self._loss(self.network, self.loss_inputs(self._steps[chosen]), dtype)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_norm)
        self._optimiser.step()
        self._follow()
        self._loss_sum += loss.detach()
        self._loss_count += 1
        self.progress.step += 1
        now = time.monotonic()
        self.progress.seconds += now - self._clock_mark
        self._clock_mark = now

    def learning_rate(self) -> float:
        recipe = self.recipe
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.progress.fraction(recipe))))
        rise = min(1.0, (self.progress.step + 1) / recipe.warm_up_steps)
        return recipe.learning_rate * rise * (recipe.final_share + (1.0 - recipe.final_share) * cosine)

    def loss_inputs(self, steps: Tensor) -> _LossInputs:
        """Draw sensor noise, levels and diffusion noise for windows at `steps` (B,)."""
        features, clean = self._gatherer.gather(steps, self._noise, self._generator)
        count = len(steps)
        # Stratified levels: the same uniform law with less variance from batch to batch.
        jitter = torch.rand(count, generator=self._generator, device=self._device)
        level = (torch.arange(count, device=self._device) + jitter) / count
        noise = torch.randn(clean.shape, generator=self._generator, device=self._device)
        schedule = self.process.schedule
        alpha, sigma = (value[:, None, None] for value in (schedule.alpha(level), schedule.sigma(level)))
        return _LossInputs(features, self.process.target(clean, noise), alpha * clean + sigma * noise, level)

    def _loss(self, network: ConditionalUNet, inputs: _LossInputs, dtype: torch.dtype) -> Tensor:
        """Weighted squared error of what the process predicts, matrix products in `dtype`."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            predicted = network(inputs.noisy, inputs.level, network.embed(inputs.features))
        level_weight = self.process.level_weight(inputs.level, self.recipe.level_weight_cap)
        error = (predicted.float() - inputs.target).square() * self._weights
        return torch.as_tensor((error.mean(dim=(1, 2)) * level_weight).mean())

    def _follow(self) -> None:
        """Move the average; its memory grows with the run, so that early weights are forgotten."""
        decay = min(self.recipe.average_decay, (1.0 + self.progress.step) / (10.0 + self.progress.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1.0 - decay)

    def measure(self, validation: _LossInputs | None) -> CurvePoint:
        """Mean training loss since the last call, and the averaged network's on `validation` in float32."""
        mean_loss = float(self._loss_sum) / max(1, self._loss_count)
        self._loss_sum.zero_()
        self._loss_count = 0
        if not math.isfinite(mean_loss):
            raise ConfigurationError(
                f"the training loss is {mean_loss} at step {self.progress.step}",
                "Lower the learning rate, or use float32",
            )
        with torch.no_grad():
            held = None if validation is None else float(self._loss(self.average, validation, torch.float32))
        return CurvePoint(self.progress.step, self.progress.seconds, mean_loss, held, self.learning_rate())

    def save(self, path: Path) -> None:
        buffer = io.BytesIO()
        torch.save(
            {
                "identity": self._identity,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "generator": self._generator.get_state(),
                "step": self.progress.step,
                "seconds": self.progress.seconds,
                "curve": [vars(point) for point in self.progress.curve],
            },
            buffer,
        )
        write_atomically(path, buffer.getvalue())

    def resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self._device, weights_only=True)
        if state["identity"] != self._identity:
            raise ConfigurationError(
                f"{path} belongs to a run with another recipe or dataset", "Delete it, or choose another output path"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"].cpu())
        curve = [CurvePoint(**point) for point in state["curve"]]
        self.progress = _Progress(state["step"], state["seconds"], curve)


def main(arguments: Sequence[str] | None = None) -> None:
    defaults = TrainRecipe()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="policy.safetensors to write")
    parser.add_argument("--process", choices=("diffusion", "flow"), default=defaults.process)
    parser.add_argument("--initial", type=Path, help="earlier policy whose weights and normalisers to start from")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--minutes", type=float, default=defaults.minutes)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default=defaults.precision)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default=TrainOptions.device)
    parser.add_argument(
        "--keep-every",
        type=int,
        default=TrainOptions.keep_every,
        help=f"keep the policy every so many steps, a multiple of {TrainOptions.save_every}, as OUT.stepN.safetensors; "
        "`vls bench undirected --policy` of each makes a success curve",
    )
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    options = TrainOptions(device=given.device, keep_every=given.keep_every)
    fields = {name: value for name, value in vars(given).items() if name in TrainRecipe.model_fields}
    train(given.dataset, given.out, TrainRecipe(**fields), options, given.initial)


if __name__ == "__main__":
    main()
