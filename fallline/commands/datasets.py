"""`fallline datasets …`"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fallline.commands.connection import connected
from fallline.commands.each_id import Several
from fallline.commands.inputs import STDIN
from fallline.resources.datasets import Dataset
from fallline.terminal.output import Form, OutputOption, Printer, Row, plain, printable

datasets = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="Its id.")]
DatasetsArgument = Annotated[list[str], typer.Argument(metavar="DATASET...", help="Ids.")]


@datasets.command()
def upload(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV or TSV, or - for stdin.")],
    target: Annotated[str, typer.Option(help="The column to be predicted.")],
    name: Annotated[str | None, typer.Option(help="Default: the file's, without ending.")] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A column that is no feature; may be repeated.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Default: detected.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Default: detected.")] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Default: detected.")
    ] = None,
    media_type: Annotated[
        str | None, typer.Option("--type", help="Media type; default: by the file's ending.")
    ] = None,
    output: OutputOption = Form.TABLE,
) -> None:
    """Store a table, to be named by its id in specifications."""
    source = sys.stdin.buffer if file == STDIN else readable(file)
    with connected() as client:
        made = client.datasets.upload(
            source,
            target=target,
            name=name,
            ignore=ignore or (),
            delimiter=delimiter,
            encoding=encoding,
            header=header,
            media_type=media_type,
        )
    Printer(output).rows([row(made)])
    for each in made.schema["columns"]:
        if (note := each.get("note")) and each["name"] not in (ignore or ()):
            typer.echo(printable(f"column {each['name']}: {note}"), err=True)


@datasets.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    output: OutputOption = Form.TABLE,
) -> None:
    """List data sets, newest first."""
    with connected() as client:
        Printer(output).rows(map(row, itertools.islice(client.datasets.all(), limit)))


@datasets.command()
def show(dataset: DatasetArgument, output: OutputOption = Form.TABLE) -> None:
    """Show one data set: its columns and, as JSON, the statistics of what is in them."""
    with connected() as client:
        found = client.datasets.get(dataset)
    printer = Printer(output)
    if output is Form.TABLE:
        printer.one(row(found))
        typer.echo()
    if output in {Form.TABLE, Form.CSV}:
        printer.rows(map(column, found.schema["columns"]))
    else:
        printer.one(row(found))


@datasets.command()
def preview(
    dataset: DatasetArgument,
    rows: Annotated[int | None, typer.Option(min=1, help="So many rows.")] = None,
    output: OutputOption = Form.TABLE,
) -> None:
    """Print the first rows of a data set."""
    with connected() as client:
        found = client.datasets.preview(dataset, rows=rows)
    Printer(output).rows(preview_rows(found))


@datasets.command()
def delete(dataset: DatasetsArgument) -> None:
    """Delete data sets."""
    several = Several()
    with connected() as client:
        several.do(dataset, client.datasets.delete, "deleted")
    several.concluded()


def readable(file: str) -> Path:
    """The path of a file that can be read; wrong usage otherwise."""
    try:
        with Path(file).open("rb"):
            return Path(file)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error


def row(dataset: Dataset) -> Row:
    """A data set as a row of a table."""
    cells = {
        "id": dataset.id,
        "name": dataset.name,
        "rows": dataset.rows,
        "target": dataset.target,
        "columns": len(dataset.schema["columns"]),
        "bytes": dataset.size,
        "created": dataset.created_at,
    }
    return Row(dataset.raw, cells, dataset.id)


def column(document: dict[str, Any]) -> Row:
    """A column as a row of a table."""
    asked = ("name", "role", "kind", "categories", "missing", "inputs", "note")
    cells = {name: document.get(name) for name in asked}
    return Row(document, {**cells, "categories": len(cells["categories"] or ()) or None})


def preview_rows(document: dict[str, Any]) -> list[Row]:
    """The rows of a preview, with true and false as predictions take them."""
    return [
        Row(each, {k: plain(v) if isinstance(v, bool) else v for k, v in each.items()})
        for each in document["data"]
    ]
