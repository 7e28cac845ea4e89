"""The command line: `vls`.  Each command only translates arguments; the work is in the rooms, imported when needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vls_steering import __version__, cli_record
from vls_steering.cli_graph import arm, estop, hold, run, tell
from vls_steering.cli_robot import franka, sim
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.extras import explained
from vls_steering.sim.scene_names import CAMERA_SCENES, SCENE_NAMES

app = typer.Typer(
    name="vls",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success, 1 something else failed, 2 bad arguments, 3 refused, 4 task failed, 5 safety stop, "
    "130 interrupted.",
)

DEMO_INSTRUCTION = "pick up the green cylinder but stay clear of the purple box"

Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of scene, sensor noise and sampler.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes to use.")]
PolicyPath = Annotated[Path | None, typer.Option("--policy", help="Checkpoint; default: the one that ships.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vls {__version__}")
        raise typer.Exit


app.add_typer(sim, name="sim")
app.add_typer(franka, name="franka")


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make a frozen robot policy obey a sentence."""


@app.command()
def demo(
    instruction: Annotated[str, typer.Option(help="What the arm should do, in plain words.")] = DEMO_INSTRUCTION,
    scene: Annotated[str, typer.Option(help=f"Scene to draw: {', '.join(CAMERA_SCENES)}.")] = "obstacle",
    seed: Seed = 7,
    vlm: Annotated[
        str, typer.Option(help="Who writes the program: offline, replay, openai, transformers.")
    ] = "offline",
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible server, for --vlm openai.")] = "",
    model: Annotated[str, typer.Option(help="Model name (openai), folder or Hub name (transformers).")] = "",
    replay: Annotated[str, typer.Option(help="File of recorded answers, for --vlm replay.")] = "",
    robot: Annotated[str, typer.Option(help="Robot back end.")] = "sim",
    pace: Annotated[
        float | None, typer.Option(help="Share of real time that --robot libfranka runs at; 1: real time.")
    ] = None,
    policy: PolicyPath = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/<stamp>.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open report and video at the end.")] = False,
) -> None:
    """One instruction from camera to set-point, over real ROS 2 nodes; leaves a report and a video.

    Example: vls demo --headless --scene play --instruction "put the red cube on the plate"
    """
    from vls_steering.nodes.demo import DemoOptions, run_demo

    options: dict[str, Any] = {
        "instruction": instruction,
        "scene": scene,
        "seed": seed,
        "vlm": vlm,
        "base_url": base_url,
        "model": model,
        "replay": replay,
        "robot": robot,
        "pace": pace,
        "policy": policy,
        "out": out,
        "headless": headless,
    }
    raise typer.Exit(int(run_demo(DemoOptions(**options))))


for command in (run, tell, arm, hold, estop):
    app.command()(command)


@app.command()
def bench(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="play, shift, quick, undirected, grasp, perception, tracking, latency, graph-latency, faults, "
            "control, verifier, reward-cost or gate-fuzz."
        ),
    ],
    out: Out,
    episodes: Annotated[
        int,
        typer.Option(min=1, help="Seeds: play and shift run one task on each, quick every task; or trials."),
    ] = 20,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="First of consecutive seeds, in place of a committed list.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Committed list of seeds: development or held-out.")] = "development",
    methods: Annotated[str, typer.Option(help="Comma-separated presets; default: the benchmark's.")] = "",
    jobs: Jobs = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    privileged: Annotated[
        bool, typer.Option("--privileged", help="Keypoints from the simulator; marked so in the output.")
    ] = False,
    clock: Annotated[
        str, typer.Option(help="paused: the world waits for the sampler; running: it goes on meanwhile.")
    ] = "paused",
    time_scale: Annotated[
        float, typer.Option(min=0.001, max=100.0, help="Running clock: simulated over measured time of a tick.")
    ] = 1.0,
    plan_every: Annotated[
        float | None,
        typer.Option(min=0.02, max=2.0, help="s from one plan to the next, of every method; default: its own."),
    ] = None,
    policy: PolicyPath = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Latencies only: few observations and sweep points, under a minute.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="control only: beside the load, and alone a minute at most; 0: a minute.")
    ] = 0.0,
    large: Annotated[bool, typer.Option("--large", help="latency only: a network of 66 M parameters, too.")] = False,
    scenes: Annotated[int, typer.Option(min=1, help="perception only: scenes at rest.")] = 200,
    sequences: Annotated[int, typer.Option(min=1, help="perception and tracking: sequences of motion.")] = 50,
) -> None:
    """Measure: success with Wilson intervals, grasp holding, perception errors, or what a tick costs.

    An option that the benchmark does not look at is refused.

    latency times every part of a tick, beside the released VLS algorithm and full-step denoising on the same policy and
    the same observations, and sweeps particles, steps, horizon, network and program.  graph-latency reads the same from
    the running node graph over a minute of simulated work.  Both want a machine with nothing else to do.

    Methods plan as often as they were published for: VLS every 0.8 s, the others every 0.1 s.  --plan-every has all of
    them plan equally often, so that a difference is of the samplers alone.

    Example: vls bench shift --episodes 100 --clock running --out runs/shift.json

    faults injects one fault after the other around the protocol arm; control measures period, age and lag of what is
    sent to it, alone and beside a load on every core.

    perception names and places what is in rendered scenes at rest and follows what moves in sequences; it writes a
    contact sheet of the scenes beside its JSON.  tracking follows the sequences with a segmentation in every second,
    third, ... picture and optical flow in between.

    Example: vls bench latency --quick --out runs/latency.json
    """
    from vls_steering.bench.options import check_options
    from vls_steering.bench.provenance import commit
    from vls_steering.core.files import check_writable
    from vls_steering.policies.shipped import SHIPPED_POLICY

    check_options(name, _given(context))
    check_writable(out)  # whatever is measured: before, not after
    commit()  # asked before hours of running: the checkout may move on meanwhile
    if name == "latency":
        from vls_steering.bench.latency import LatencyOptions, latency_command

        latency_command(LatencyOptions(out, policy or SHIPPED_POLICY, seed or 0, quick=quick, large=large))
        return
    if name == "perception":
        from vls_steering.bench.perception import PerceptionOptions, perception_command

        perception_command(PerceptionOptions(out, seed or 0, scenes, sequences))
        return
    if name == "tracking":
        from vls_steering.bench.tracking import tracking_command

        tracking_command(out, seed or 0, sequences)
        return
    if name == "faults":
        from vls_steering.nodes.fault_bench import FaultOptions, run_fault_bench

        raise typer.Exit(int(run_fault_bench(FaultOptions(out, quick))))
    if name == "control":
        from vls_steering.nodes.control_bench import ControlOptions, run_control_bench

        raise typer.Exit(int(run_control_bench(ControlOptions(out, seconds or (10.0 if quick else 60.0)))))
    if name == "graph-latency":
        from vls_steering.nodes.graph_latency import GraphLatencyOptions, run_graph_latency

        seconds = 10.0 if quick else 60.0
        raise typer.Exit(int(run_graph_latency(GraphLatencyOptions(out, policy or SHIPPED_POLICY, seed or 0, seconds))))
    from vls_steering.bench.commands import BenchRequest, bench_command

    request = BenchRequest(
        name=name,
        out=out,
        episodes=episodes,
        seed=seed,
        seeds=seeds,
        methods=tuple(method.strip() for method in methods.split(",") if method.strip()),
        clock=clock,
        time_scale=time_scale,
        jobs=jobs,
        resume=resume,
        privileged=privileged,
        policy=policy,
        plan_every=plan_every,
    )
    bench_command(request)


def _given(context: typer.Context) -> dict[str, Any]:
    """The options of the command line that were not left at their defaults."""
    said = {key: context.get_parameter_source(key) for key in context.params}
    named = {key for key, source in said.items() if source is not None and source.name == "COMMANDLINE"}
    return {key: context.params[key] for key in named - {"name", "out"}}


@app.command()
def calibrate(
    out: Out,
    policy: PolicyPath = None,
    suite: Annotated[str, typer.Option(help="Benchmark whose tasks are run: shift, play or quick.")] = "shift",
    preset: Annotated[str, typer.Option(help="Steering method to calibrate.")] = "ours",
    episodes: Annotated[int, typer.Option(min=1, help="Development seeds of each setting, as in vls bench.")] = 100,
    jobs: Jobs = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Measure success against the number of candidates K and the selection temperature; write the settings to use.

    More candidates are not always better: the more there are, the likelier one fools the reward (V-GPS: .77, .81, .84
    and .63 at K 10, 30, 50 and 100).  So K is a measured cap: the smallest K that is not significantly below the best
    one on the same episodes (McNemar, p below .05).  With few episodes nothing is significant and the smallest K wins;
    tasks that every setting solves say nothing either.  Keypoints are the simulator's, the clock is paused; the file
    says so.

    Example: vls calibrate --policy my_policy.safetensors --out my_policy.calibration.yaml
    """
    from vls_steering.bench.calibrate import CalibrateOptions, calibrate_command
    from vls_steering.policies.shipped import SHIPPED_POLICY

    chosen = policy or SHIPPED_POLICY
    calibrate_command(CalibrateOptions(out, chosen, suite, preset, episodes, jobs=jobs, resume=resume))


@app.command()
def collect(
    out: Out,
    attempts: Annotated[int, typer.Option(min=1, help="Demonstrations to attempt.")] = 3700,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first demonstration.")] = 100_000,
    jobs: Jobs = 2,
) -> None:
    """Record scripted demonstrations for the base policy."""
    from vls_steering.bench.progress import Progress
    from vls_steering.sim.collect import collect as collect_demonstrations

    with Progress("collect", attempts) as progress:
        kept = collect_demonstrations(seed, attempts, out, jobs, progress.jump)
    typer.echo(f"kept {kept} of {attempts} demonstrations in {out}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def train(context: typer.Context) -> None:
    """Train the base policy on demonstrations; `vls train --help` lists every option."""
    from vls_steering.policies.train import main as train_main

    train_main(context.args)


@app.command()
def export(
    policy: Annotated[Path, typer.Argument(help="Weights of a policy, a .safetensors with its .json.")],
) -> None:
    """Write the policy's network as an ONNX graph beside its weights: a tick on a CPU takes half the time with it."""
    from vls_steering.policies.checkpoint import export_policy

    typer.echo(f"wrote {export_policy(policy)}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Reward program (.json, .yaml), or guidance functions (.py, .txt).")],
    scene: Annotated[str, typer.Option(help=f"Check it in this scene too: {', '.join(SCENE_NAMES)}.")] = "",
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Say whether a reward program may steer the arm: exit 0 accepted, 3 rejected with reasons."""
    import json

    from vls_steering.rewards.report import check_file, verified

    keypoints = _scene_keypoints(scene, seed) if scene else None
    report = check_file(file, keypoints)
    if keypoints is not None:
        report = verified(report, keypoints)
    typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.render())
    raise typer.Exit(int(report.exit_code))


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="Reward program (.json, .yaml), or guidance functions (.py, .txt).")],
    scene: Annotated[str, typer.Option(help=f"Scene to draw it in: {', '.join(SCENE_NAMES)}.")] = "play",
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Picture to write; default: beside the file.")] = None,
) -> None:
    """Say a reward program in plain words and draw what it rewards, stage by stage, over a scene."""
    from vls_steering.rewards.explain import program_in_words
    from vls_steering.rewards.report import check_file
    from vls_steering.rewards.slices import draw_slices

    keypoints = _scene_keypoints(scene, seed)
    report = check_file(file, keypoints)
    if report.program is None or not report.accepted:
        typer.echo(report.render())
        raise typer.Exit(int(report.exit_code))
    picture = out or file.with_suffix(".png")
    draw_slices(report.program, keypoints, picture)
    typer.echo(program_in_words(report.program))
    typer.echo(f"\nDrawn in {picture}")


def _scene_keypoints(scene: str, seed: int) -> Any:
    from vls_steering.sim.privileged import true_keypoints
    from vls_steering.sim.scenes import draw_layout
    from vls_steering.sim.world import World

    return true_keypoints(World(draw_layout(scene, seed)).truth())


@app.command()
def doctor() -> None:
    """Check this machine: libraries, rendering, ROS 2, model files, policy; says what to do about each fault."""
    from vls_steering.doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(finding.line())
    raise typer.Exit(int(ExitCode.SUCCESS if all(f.ok for f in findings) else ExitCode.INTERNAL_ERROR))


cli_record.register(app)


def main() -> None:
    """Entry point of the `vls` console script."""
    try:
        app()
    except VlsError as error:
        typer.echo(f"vls: {error}", err=True)
        sys.exit(int(error.exit_code))
    except ModuleNotFoundError as error:
        missing = explained(error)
        if missing is None:
            raise
        typer.echo(f"vls: {missing}", err=True)
        sys.exit(int(missing.exit_code))
    except KeyboardInterrupt:
        typer.echo("vls: interrupted", err=True)
        sys.exit(int(ExitCode.INTERRUPTED))


if __name__ == "__main__":
    main()
