"""`vls sim` and `vls franka`: the commands that have to do with an arm, simulated or physical."""

from __future__ import annotations

from typing import Annotated

import typer

from vls_steering.sim.scene_names import CAMERA_SCENES, check_scene

sim = typer.Typer(no_args_is_help=True, help="The simulated arm that speaks libfranka's protocol.")
franka = typer.Typer(no_args_is_help=True, help="A physical arm, before it is trusted with anything.")


@sim.callback()
def _sim() -> None:
    """The simulated arm that speaks libfranka's protocol."""


@sim.command()
def serve(
    scene: Annotated[str, typer.Option(help=f"Scene whose layout is drawn: {', '.join(CAMERA_SCENES)}.")] = "play",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the layout.")] = 0,
    target: Annotated[str, typer.Option(help="Object that the scene is about.")] = "red cube",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve our scene as an FR3 at HOST until Ctrl-C, with communication and motion limits enforced.

    The layout is one in which a script has done what the scene is for.

    Any client of libfranka's protocol (robot server v10, ports 1337 and 1338) may connect, one at a time.

    Example: vls sim serve --scene obstacle --seed 7
    """
    import threading

    from vls_steering.bench.suites import asked_for
    from vls_steering.sim.protocol_arm import ROBOT_PORT, ProtocolArm
    from vls_steering.sim.proven import proven_layout

    check_scene(scene)
    ended = threading.Event()
    causes: list[BaseException] = []

    def failed(error: BaseException) -> None:
        causes.append(error)
        ended.set()

    layout = proven_layout(scene, seed, asked_for(scene, target))
    with ProtocolArm(layout, host=host, failed=failed):
        typer.echo(f"an FR3 is served at {host}:{ROBOT_PORT} (scene {scene}, seed {seed}); Ctrl-C ends it")
        ended.wait()
    raise causes[0]


@franka.callback()
def _franka() -> None:
    """A physical arm, before it is trusted with anything."""


@franka.command()
def check(
    host: Annotated[str, typer.Option(help="Address of the control box, or 127.0.0.1 for `vls sim serve`.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Answer every question with yes: the simulated arm alone.")
    ] = False,
) -> None:
    """Walk through connection, mode, limits, hand and a motion of 5 cm; each thing that moves is asked for first.

    Nothing moves while something is not as it should be.  Exit 0 when everything was, 5 when something was not or was
    declined.

    Example: vls franka check --host 172.16.0.2
    """
    from vls_steering.core.errors import ConfigurationError
    from vls_steering.robots.arm_report import is_loopback
    from vls_steering.robots.franka_check import run_check

    if yes and not is_loopback(host):
        raise ConfigurationError(
            f"--yes answers for the simulated arm alone, and {host} is not this computer", "Leave it out"
        )
    raise typer.Exit(int(run_check(host, (lambda _question: True) if yes else typer.confirm, typer.echo)))
