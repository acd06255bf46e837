"""The command line: `fallline …`.

Exit codes: 0 done, 1 the service or its start failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fallline import demo as demonstration
from fallline import environment
from fallline.embedded import module
from fallline.errors import FalllineError
from fallline.up import up as run_service

INTERRUPTED = 130

cli = typer.Typer(
    help="Fallline: training as a service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

HomeOption = Annotated[
    Path | None,
    typer.Option(envvar="FALLLINE_HOME", help="Folder of all data.  [default: ~/.fallline]"),
]
HostOption = Annotated[str, typer.Option(envvar="FALLLINE_HOST", help="Address to listen on.")]
PortOption = Annotated[
    int, typer.Option(envvar="FALLLINE_PORT", min=0, max=65535, help="Port; 0 takes a free one.")
]

FolderArgument = Annotated[Path, typer.Argument(help="Folder of the backup.", show_default=False)]


@cli.command()
def up(
    home: HomeOption = None,
    host: HostOption = environment.DEFAULT_HOST,
    port: PortOption = environment.DEFAULT_PORT,
) -> None:
    """Start everything on this machine (Redis, API, worker) and stay until Ctrl-C."""
    run_service(home or environment.home(), host, port, console())


@cli.command()
def demo() -> None:
    """Show the whole of Fallline in half a minute, in a temporary folder."""
    try:
        demonstration.run(console())
    except KeyboardInterrupt:
        typer.echo("Interrupted; nothing of the demo is left.", err=True)
        raise typer.Exit(INTERRUPTED) from None


@cli.command()
def api() -> None:
    """Run the API alone (FALLLINE_HOST, FALLLINE_PORT, FALLLINE_DATABASE_URL …)."""
    become("app")


@cli.command()
def worker() -> None:
    """Run a worker alone (FALLLINE_DATABASE_URL, FALLLINE_BROKER_URL …)."""
    become("worker")


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema; the first time, make a key."""
    become("app.migrate")


@cli.command()
def backup(folder: FolderArgument) -> None:
    """Copy database, files and key into a new folder, while the service runs."""
    become("app.backup", str(folder))


@cli.command()
def restore(folder: FolderArgument) -> None:
    """Put a backup back, into an empty home and an empty database."""
    become("app.restore", str(folder))


def become(name: str, *arguments: str) -> None:
    """Go on as a module of the service, with its exit code."""
    sys.stdout.flush()
    command = [*module(name), *arguments]
    os.execv(command[0], command)


def console() -> Console:
    """Where a person reads; never wider than 80 columns, plain where it is no terminal."""
    # A curve drawn where there is no Unicode shall become question marks, not an error.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    made = Console(highlight=False, emoji=False)
    made.width = min(made.width, 80)
    return made


def main() -> None:
    """The entry point: an error of ours is one sentence on stderr."""
    try:
        cli()
    except FalllineError as error:
        typer.echo(f"fallline: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
