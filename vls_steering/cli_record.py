"""`vls record` and `vls replay`: a run into a file, and out of it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Namespace = Annotated[str, typer.Option("--namespace", help="Namespace of the graph, as in vls run.")]


def register(app: typer.Typer) -> None:
    """Make both commands of `app`."""
    app.command()(record)
    app.command()(replay)


def record(
    out: Annotated[Path, typer.Option("--out", help="MCAP file to write; it must not exist.")],
    namespace: Namespace = "",
    seconds: Annotated[float, typer.Option(min=0.0, help="How long; 0: until Ctrl-C.")] = 0.0,
    images: Annotated[bool, typer.Option("--images/--no-images", help="The cameras' pictures, too.")] = False,
) -> None:
    """Record the topics of a running graph into an MCAP file, for Foxglove, rosbags and vls replay; Ctrl-C ends it.

    Exit 0 when something was recorded, 4 when nothing was heard.  A full disk ends the recording with an error; what
    was written stays readable.  Pictures are 10 to 20 MB a second for each camera.

    Example: vls record --out runs/lab.mcap
    """
    from vls_steering.nodes.record import RecordOptions
    from vls_steering.nodes.record import record as record_graph

    raise typer.Exit(int(record_graph(RecordOptions(out, namespace, seconds, images), typer.echo)))


def replay(
    log: Annotated[Path, typer.Argument(help="MCAP file of vls record or vls demo.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Weights, where they are no longer where the log says.")
    ] = None,
    namespace: Namespace = "",
    show: Annotated[bool, typer.Option("--show", help="Only tell what happened, line by line.")] = False,
) -> None:
    """Make every chunk of a log again, from what the policy saw, and compare: exit 0 when all agree, 4 when not.

    Example: vls replay runs/lab.mcap
    """
    from vls_steering.nodes.replay import ReplayOptions
    from vls_steering.nodes.replay import replay as replay_log

    raise typer.Exit(int(replay_log(ReplayOptions(log, policy, namespace, show), typer.echo)))
