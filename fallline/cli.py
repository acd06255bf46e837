"""The command line: `fallline …`. The exit codes are in `exits`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fallline import environment
from fallline.commands import demo as demonstration
from fallline.commands.datasets import datasets
from fallline.commands.doctor import doctor
from fallline.commands.jobs import jobs
from fallline.commands.keys import keys, tenants
from fallline.commands.models import models, predict
from fallline.errors import FalllineError
from fallline.local import signals
from fallline.local.service import module
from fallline.local.up import serve as serve_service
from fallline.local.up import up as run_service
from fallline.terminal import exit_codes

cli = typer.Typer(
    help="Fallline: training as a service.",
    epilog=f"\b\nExit codes:\n{exit_codes.table()}",
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


@cli.command(short_help="Start everything on this machine.")
def up(
    home: HomeOption = None,
    host: HostOption = environment.DEFAULT_HOST,
    port: PortOption = environment.DEFAULT_PORT,
) -> None:
    """Start everything on this machine (Redis, API, worker) and stay until Ctrl-C."""
    run_service(home or environment.home(), host, port, console())


@cli.command(short_help="Start API and worker on your Redis, PostgreSQL.")
def serve(
    home: HomeOption = None,
    host: HostOption = environment.DEFAULT_HOST,
    port: PortOption = environment.DEFAULT_PORT,
) -> None:
    """Start API and worker on a broker and a database of yours, and stay until Ctrl-C."""
    serve_service(home or environment.home(), host, port, console())


@cli.command(short_help="Show the whole of Fallline in half a minute.")
def demo() -> None:
    """Show the whole of Fallline in half a minute, in a temporary folder."""
    try:
        demonstration.run(console())
    except KeyboardInterrupt:
        typer.echo("Interrupted; nothing of the demo is left.", err=True)
        raise typer.Exit(exit_codes.INTERRUPTED) from None


@cli.command(short_help="Run the API alone.")
def api() -> None:
    """Run the API alone (FALLLINE_HOST, FALLLINE_PORT, FALLLINE_DATABASE_URL …)."""
    become("app")


@cli.command(short_help="Run a worker alone.")
def worker() -> None:
    """Run a worker alone (FALLLINE_DATABASE_URL, FALLLINE_BROKER_URL …)."""
    become("worker")


@cli.command(short_help="Bring the database up to date.")
def migrate() -> None:
    """Bring the database to this version's schema; the first time, make a key."""
    become("app.admin.migrate")


@cli.command(short_help="Copy a running service into a folder.")
def backup(folder: FolderArgument) -> None:
    """Copy database, files and key into a new folder, while the service runs."""
    become("app.admin.backup", str(folder))


@cli.command(short_help="Put a backup back.")
def restore(folder: FolderArgument) -> None:
    """Put a backup back, into an empty home and an empty database."""
    become("app.admin.restore", str(folder))


cli.add_typer(jobs, name="jobs", help="Submit, watch and steer training jobs.")
cli.add_typer(datasets, name="datasets", help="Upload and look at data.")
cli.add_typer(models, name="models", help="Look at trained models.")
cli.add_typer(keys, name="keys", help="Make, list and revoke keys.")
cli.add_typer(tenants, name="tenants", help="Make and list tenants.")
cli.command(short_help="Ask a model about rows.")(predict)
cli.command(short_help="Look for troubles, and say what to do.")(doctor)


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


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: an error of ours is one sentence on stderr."""
    with signals.heard():
        try:
            cli(arguments)
        except FalllineError as error:
            typer.echo(f"fallline: {error}", err=True)
            sys.exit(exit_codes.code_of(error))


if __name__ == "__main__":
    main()
