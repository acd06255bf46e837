"""`fallline models …` and `fallline predict`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fallline.commands.connection import connected
from fallline.commands.inputs import inputs_of, without
from fallline.errors import ApiError
from fallline.resources.models import Model
from fallline.terminal import exit_codes
from fallline.terminal.output import Form, OutputOption, Printer, Row
from fallline.types import Predictions

models = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

JOB_PREFIX = "job_"

MAX_MISTAKE_COUNT = 10


@models.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    output: OutputOption = Form.TABLE,
) -> None:
    """List models, newest first."""
    with connected() as client:
        Printer(output).rows(map(row, itertools.islice(client.models.all(), limit)))


@models.command()
def show(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Its name.")],
    output: OutputOption = Form.TABLE,
) -> None:
    """Show one model and its newest version."""
    with connected() as client:
        Printer(output).one(row(client.models.get(name)))


@models.command()
def download(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Its name.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    version: Annotated[int | None, typer.Option(min=1, help="Default: the newest.")] = None,
) -> None:
    """Fetch a model as safetensors."""
    with connected() as client:
        number = version or client.models.get(name).newest.version
        content = client.models.download(name, number)
    try:
        with file.open("xb") as new:
            new.write(content)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    typer.echo(f"{file} holds version {number} ({len(content)} bytes).", err=True)


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, or a job's id.")],
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Rows as JSON or .csv; - is stdin.")
    ] = "-",
    version: Annotated[int | None, typer.Option(min=1, help="Default: the newest.")] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A column of FILE to leave out; may be repeated.")
    ] = None,
    output: OutputOption = Form.TABLE,
) -> None:
    """Ask a model about the rows in FILE: a JSON list, or a CSV file with a header line."""
    rows = without(ignore or (), inputs_of(file))
    with connected() as client, told_in_brief():
        if model.startswith(JOB_PREFIX) and version is None:
            said = client.jobs.at(model).predict(rows)
        else:
            said = client.models.predict(model, rows, version=version)
    Printer(output).rows(predicted(said))


@contextmanager
def told_in_brief() -> Iterator[None]:
    """Of many mistakes the first ones: those of many rows are often one and the same."""
    try:
        yield
    except ApiError as error:
        typer.echo(f"fallline: {error.sentence(MAX_MISTAKE_COUNT)}", err=True)
        raise typer.Exit(exit_codes.code_of(error)) from error


def row(model: Model) -> Row:
    """A model as a row of a table."""
    cells = {
        "name": model.name,
        "version": model.newest.version,
        "job": model.newest.job,
        "bytes": model.newest.size,
        "created": model.newest.created_at,
    }
    return Row(model.raw, cells, model.name)


def predicted(said: Predictions) -> list[Row]:
    """A row for each prediction: a label with its probability, or the values."""
    rows = []
    for place, each in enumerate(said):
        cells: dict[str, Any] = {"row": place}
        if each.probabilities is not None:
            cells |= {"label": each.label, "probability": max(each.probabilities)}
        else:
            cells |= {f"value {n}": value for n, value in enumerate(each.value or ())}
        rows.append(Row(each.raw, cells))
    return rows
