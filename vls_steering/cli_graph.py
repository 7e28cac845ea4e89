"""`vls run`, and the commands that talk to a graph that runs: a wheel install has no `ros2` for it."""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from vls_steering.core.config import choices, parse_settings
from vls_steering.nodes.node_set import Deployment

Namespace = Annotated[str, typer.Option("--namespace", help="Namespace of the graph's nodes.")]


def run(out: Annotated[Path, typer.Option(help="Folder for logs.")] = Path("runs/node_set"), **given: Any) -> None:
    """Start every node without ros2 launch; Ctrl-C stops the arm, then the nodes in reverse order.

    Its options are the arguments of launch/bringup.launch.py, and what they leave alone is the parameter file's.
    `vls tell` gives a running graph its task, from another terminal.

    Example: vls run --scene obstacle --seed 7
    """
    deployment = parse_settings(Deployment, given, "vls run")
    from vls_steering.nodes.supervisor import run_node_set

    raise typer.Exit(run_node_set(deployment, out))


def _deployment_options() -> list[inspect.Parameter]:
    """One option for every field of Deployment; what is typed is checked as launch's arguments are."""
    options = []
    for name, field in Deployment.model_fields.items():
        kind = field.annotation if field.annotation in (bool, int) else str
        accepted = [choice for choice in choices(field) if choice]
        text = field.description or ""
        wording = f"{text[:1].upper()}{text[1:]}." + (f" One of: {', '.join(accepted)}." if accepted else "")
        annotation = Annotated[kind, typer.Option(help=wording)]  # type: ignore[valid-type]
        options.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)
        )
    return options


# Typer reads options from a signature: this one is Deployment's.
run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [*_deployment_options(), inspect.signature(run).parameters["out"].replace(kind=inspect.Parameter.KEYWORD_ONLY)]
)


def tell(
    instruction: Annotated[str, typer.Argument(help="What the arm should do, in plain words.")],
    namespace: Namespace = "",
    timeout: Annotated[
        float, typer.Option(min=0.0, help="Seconds until the task counts as failed; 0: the manager's parameter.")
    ] = 0.0,
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the graph to be up.")] = 60.0,
) -> None:
    """Have a running graph carry out one instruction and follow it; Ctrl-C takes it back and leaves the arm holding.

    The graph is that of `vls run` or of ros2 launch, in the same ROS_DOMAIN_ID.

    Example: vls tell "pick up the red cube"
    """
    from vls_steering.nodes.tell import tell_graph

    raise typer.Exit(int(tell_graph(instruction, namespace, timeout, wait)))


def arm(
    namespace: Namespace = "",
    recover: Annotated[
        bool, typer.Option("--recover", help="Clear the arm's own errors first. Look at the cell before.")
    ] = False,
) -> None:
    """Let the arm move again, after the start or after a latched stop whose cause is gone."""
    from vls_steering.nodes.operate import Operator

    with Operator(namespace) as operator:
        typer.echo(operator.recover_and_arm() if recover else operator.arm())


def hold(namespace: Namespace = "") -> None:
    """Take back whatever task is running, and have the arm hold where it is."""
    from vls_steering.nodes.operate import Operator

    with Operator(namespace) as operator:
        typer.echo(operator.hold())


class Switch(str, Enum):
    """Positions of the emergency stop."""

    ON = "on"
    OFF = "off"


def estop(
    switch: Annotated[Switch, typer.Argument(help="on: stop and stay stopped; off: `vls arm` may follow.")],
    namespace: Namespace = "",
) -> None:
    """Engage or release the emergency stop of the software.  It is no substitute for the button on the cell."""
    from vls_steering.nodes.operate import Operator

    with Operator(namespace) as operator:
        typer.echo(operator.emergency_stop(switch is Switch.ON))
