"""The command line: `vls`."""

from __future__ import annotations

from typing import Annotated

import typer

from vls_steering import __version__

app = typer.Typer(name="vls", no_args_is_help=True, add_completion=False)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vls {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make a frozen robot policy obey a sentence."""


def main() -> None:
    """Entry point of the `vls` console script."""
    app()
