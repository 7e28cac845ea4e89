"""Every knob of the sampler: unit, range and meaning in one place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vls_steering.core.config import Settings


class StartSettings(Settings):
    """Where the particles of a tick begin."""

    mode: Literal["warm", "cold"] = Field("warm", description="warm: from the last tick's chunks; cold: from noise")
    scouts: int = Field(3, ge=0, le=256, description="particles that always start from noise, to notice new modes")
    incumbent_level: float = Field(0.25, ge=0.05, le=1.0, description="noise level of the executed chunk's particle")
    ladder_low: float = Field(0.4, ge=0.05, le=1.0, description="noise level of the best warm particle")
    ladder_high: float = Field(0.75, ge=0.05, le=1.0, description="noise level of the worst warm particle")
    jump_raise: float = Field(
        1.0, gt=0.0, le=100.0, description="jump (estimate against plan, in sigma) that raises a particle's level"
    )
    jump_cold: float = Field(2.0, gt=0.0, le=100.0, description="jump, in sigma, that restarts a particle from noise")
    jump_level: float = Field(0.6, ge=0.05, le=1.0, description="level that a jump raises a particle to")
    turn_share: float = Field(0.25, ge=0.0, le=1.0, description="share of particles kept warm when the stage changes")
    turn_level: float = Field(0.65, ge=0.05, le=1.0, description="level of those particles")
    gripper_clip: float = Field(
        1.0 / 3.0, gt=0.0, le=1.0, description="largest normalised gripper guess; a guess at +-1 hardly ever flips"
    )
    max_age_s: float = Field(0.8, gt=0.0, le=10.0, description="a plan older than this is not gone on with")
    max_miss_m: float = Field(
        0.1, gt=0.0, le=1.0, description="nor is one that has the arm farther than this from where it is"
    )


class GuideSettings(Settings):
    """How the reward bends the clean estimate."""

    mode: Literal["off", "x0", "through", "both", "noisy"] = Field(
        "x0",
        description="off; x0: gradient on the clean estimate; through: through the network (about 3x dearer); both; "
        "noisy: on the noisy sample, normalised over the batch, as VLS's released code does",
    )
    start: float = Field(0.0, ge=0.0, le=1.0, description="first share of the steps left unguided")
    mu: float = Field(1.0, ge=0.0, le=10.0, description="weight of the gradient on the clean estimate (x0, both)")
    rho: float = Field(1.0, ge=0.0, le=10.0, description="weight of the gradient through the network (through, both)")
    gamma: float = Field(
        0.0, ge=0.0, le=2.0, description="width, in sigma, over which the reward is averaged; 0 = not at all"
    )
    gamma_samples: int = Field(8, ge=1, le=256, description="draws of that average")
    n_iter: int = Field(1, ge=1, le=32, description="gradient steps on the clean estimate per denoising step")
    n_recur: int = Field(1, ge=1, le=32, description="visits to each guided level: denoise, re-noise, denoise again")
    clip_sigma: float = Field(1.0, ge=0.0, le=10.0, description="largest shift of one step, in sigma, normalised units")
    trust_m: float = Field(0.4, ge=0.0, le=1.0, description="largest shift of one step against the unguided one, m")
    stop_late: float = Field(0.34, ge=0.0, le=1.0, description="last share of the steps left unguided: on the manifold")
    damping: Literal["curvature", "none"] = Field(
        "curvature", description="shorten the shift by the reward's curvature along it, so that it cannot overshoot"
    )
    mode_std: float = Field(
        0.2, ge=0.0, le=5.0, description="standard deviation of the policy's chunks within a mode, normalised units"
    )
    gripper: bool = Field(
        True, description="a stage's gripper intent bends the gripper too; without an intent nothing pulls on it"
    )
    smoothing_steps: float = Field(
        8.0, ge=0.0, le=64.0, description="correlation length of the shift along the chunk, in steps; 0 = none"
    )
    estimate_limit: float = Field(
        0.0, ge=0.0, le=100.0, description="largest clean estimate in the mode noisy, normalised units; 0 = no limit"
    )


class DiversitySettings(Settings):
    """How the particles keep apart while it is still open where they will end."""

    kernel: Literal["off", "rbf", "inverse_distance"] = Field(
        "off", description="off; rbf: SVGD's, median bandwidth, on clean paths; inverse_distance: VLS's released one"
    )
    strength: float = Field(1.0, ge=0.0, le=1000.0, description="weight of the repulsion")
    until: float = Field(0.3, ge=0.0, le=1.0, description="first share of the steps, in which it acts")
    path_s: float = Field(
        0.0, ge=0.0, le=60.0, description="part of the paths that inverse_distance keeps apart, s; 0 = all of them"
    )


class ResampleSettings(Settings):
    """Feynman-Kac steering: good particles multiply, bad ones die."""

    potential: Literal["off", "diff", "max", "sum", "rt"] = Field(
        "off",
        description="what weighs a particle: its gain since it was last redrawn, its best, sum or last reward",
    )
    tilt: Literal["tempered", "fixed"] = Field(
        "tempered", description="inverse temperature: found such that the ESS meets its target, or given"
    )
    inverse_temperature: float = Field(10.0, ge=0.0, le=10000.0, description="the given one, per unit of reward")
    ess_target: float = Field(
        0.5, gt=0.0, le=1.0, description="effective sample size, share of the particles, at or below which to resample"
    )
    every: int = Field(1, ge=1, le=1000, description="steps between two looks; the last step is always looked at")
    start: float = Field(0.0, ge=0.0, le=1.0, description="first share of the steps without a look")
    scheme: Literal["systematic", "multinomial"] = Field("systematic", description="how offspring are drawn")
    elites: int = Field(1, ge=0, le=64, description="best particles that survive whatever is drawn")
    carry: float = Field(
        1.0, ge=0.0, le=1.0, description="share of the log weights kept when not resampling; VLS's code keeps none"
    )
    correction: Literal["reward", "memory"] = Field(
        "reward",
        description="what the last look of max and sum weighs: the last reward, so that the law is exp(b r); VLS's "
        "code: what is kept of all rewards",
    )
    judged: Literal["clean", "noisy"] = Field(
        "clean", description="what the reward looks at; VLS's code: the noisy chunk"
    )
    jitter: float = Field(
        0.5, ge=0.0, le=1.0, description="share of fresh noise given to a copy when eta is below 0.3; 0 = none"
    )


class MutationSettings(Settings):
    """Diffusion-ES: after the descent, choose, re-noise a little and descend again."""

    rounds: int = Field(0, ge=0, le=100, description="further descents")
    level: float = Field(0.3, ge=0.05, le=1.0, description="noise level that they begin at")
    steps: int = Field(2, ge=1, le=100, description="denoising steps of each")


class SelectSettings(Settings):
    """Which particle becomes the chunk."""

    combine: Literal["zscore", "rank"] = Field("zscore", description="how scores of different units are made to add up")
    reward_weight: float = Field(1.0, ge=0.0, le=10.0, description="weight of the stage's reward")
    robustness_weight: float = Field(
        0.0, ge=0.0, le=10.0, description="weight of the exact robustness of the stage's conditions; 0: not computed"
    )
    smoothness_weight: float = Field(0.1, ge=0.0, le=10.0, description="weight of low acceleration")
    limits_weight: float = Field(0.3, ge=0.0, le=10.0, description="weight of staying below the speed limit")
    overlap_weight: float = Field(0.2, ge=0.0, le=10.0, description="weight of agreeing with the committed chunk")
    lineage_margin: float = Field(
        0.25, ge=0.0, le=10.0, description="combined score by which a rival must beat the executed lineage"
    )
    gate_s: float = Field(
        1.6, ge=0.0, le=60.0, description="part of a candidate that must satisfy the safety terms, s; 0 = no gate"
    )
    temperature: float = Field(
        0.0, ge=0.0, le=10.0, description="0: the best score wins; else drawn with probability exp(score / temperature)"
    )
    choose: Literal["score", "memory"] = Field(
        "score", description="score: by the scorers; memory: the best by the resampler's record (VLS's index 0)"
    )
    speed_limit_m_s: float = Field(0.6, gt=0.0, le=3.0, description="TCP speed above which a candidate loses score")


class StrengthSettings(Settings):
    """Guidance strength falls as measured progress rises (VLS, arXiv 2602.03973)."""

    maximum: float = Field(80.0, ge=0.0, le=10000.0, description="inverse temperature of the reward far from the goal")
    slope: float = Field(25.0, ge=0.0, le=200.0, description="steepness of the fall in progress")
    midpoint: float = Field(0.8, ge=0.0, le=1.5, description="progress at which the strength is half its maximum")
    floor: float = Field(0.25, ge=0.0, le=1.0, description="share of the maximum that is always kept")


class StageSettings(Settings):
    """When a stage counts as reached or lost."""

    leave: float = Field(0.6, ge=0.0, le=1.0, description="measured progress below which a completion is withdrawn")
    dwell_s: float = Field(0.15, ge=0.0, le=5.0, description="time a completion must hold before the next stage")
    lost_dwell_s: float = Field(
        0.3, ge=0.0, le=5.0, description="time that what a stage relies on is missing before it counts as lost"
    )


class StallSettings(Settings):
    """When a hand that does not move counts as stuck."""

    after_s: float = Field(2.0, ge=0.2, le=60.0, description="time at rest after which the plan is thrown away")
    radius_m: float = Field(0.03, ge=0.001, le=0.2, description="movement below this is rest")
    fingers_m: float = Field(0.005, ge=0.001, le=0.08, description="change of gripper width below this is rest")


class SpliceSettings(Settings):
    """How a chunk joins the one that is executed while it is computed (real-time chunking)."""

    commit_steps: int = Field(
        1,
        ge=0,
        le=64,
        description="steps of the executed chunk that are kept even without a delay, unless the goal has changed; "
        "with 0 every tick may put off what the last one was about to do, and a hand hovers over what it should grasp",
    )
    blend_steps: int = Field(
        4, ge=0, le=64, description="steps after the frozen ones over which the committed chunk's weight falls to 0"
    )


class SteeringSettings(Settings):
    """One sampler: start -> (denoise -> guide -> step -> resample)* -> select."""

    particles: int = Field(8, ge=1, le=1024, description="candidate chunks per tick, K")
    k_cap: int = Field(1024, ge=1, le=1024, description="largest K that was found to help; more are not drawn")
    warm_steps: int = Field(3, ge=1, le=100, description="denoising steps of a warm tick")
    cold_steps: int = Field(6, ge=1, le=100, description="denoising steps of a cold tick")
    recovery_ticks: int = Field(
        2, ge=0, le=50, description="ticks with the cold number of steps after a reset, stage change, stall or hold"
    )
    eta: float = Field(0.0, ge=0.0, le=1.0, description="stochasticity of the denoising step: 0 DDIM, 1 ancestral")
    deadline_ms: float = Field(
        0.0, ge=0.0, le=60000.0, description="time of a tick, ms, after which the best chunk so far goes out; 0 = none"
    )
    reward_s: float = Field(
        0.0, ge=0.0, le=60.0, description="part of a chunk that the reward looks at, s; 0 = all of it"
    )
    start: StartSettings = StartSettings()
    guide: GuideSettings = GuideSettings()
    diversity: DiversitySettings = DiversitySettings()
    resample: ResampleSettings = ResampleSettings()
    mutation: MutationSettings = MutationSettings()
    splice: SpliceSettings = SpliceSettings()
    select: SelectSettings = SelectSettings()
    strength: StrengthSettings = StrengthSettings()
    stages: StageSettings = StageSettings()
    stall: StallSettings = StallSettings()

    @property
    def steers(self) -> bool:
        """These settings let a reward bend or choose; one unguided particle leaves it nothing to do."""
        return self.guide.mode != "off" or self.count > 1

    @property
    def count(self) -> int:
        """K as it is drawn."""
        return min(self.particles, self.k_cap)
