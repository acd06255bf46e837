"""`fallline jobs …`"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from fallline.answers import Metrics, Points
from fallline.commands.connection import connected
from fallline.commands.inputs import specification
from fallline.commands.output import Form, OutputOption, Printer, Row, flat, plain
from fallline.commands.plan import show_plan
from fallline.commands.several import Several
from fallline.commands.watch import concluded, watched
from fallline.job import Job, JobRef

jobs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="JSON, or - for stdin.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]
JobsArgument = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the specification: optimizer.lr=0.1"),
]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Stay until the job has ended.")]


@jobs.command()
def submit(
    file: FileArgument,
    change: SetOption = None,
    watch: WatchOption = False,
    output: OutputOption = Form.TABLE,
) -> None:
    """Post the job specification in FILE. All its mistakes are named at once."""
    with connected() as client:
        job = client.jobs.create(specification(file, change or []))
        if watch:
            job = watched(job)
        Printer(output).rows([row(job)])
        if watch:
            concluded(job)


@jobs.command()
def validate(
    file: FileArgument, change: SetOption = None, output: OutputOption = Form.TABLE
) -> None:
    """Say what the specification in FILE would run, without running it."""
    with connected() as client:
        plan = client.jobs.validate(specification(file, change or []))
    show_plan(plan, output)


@jobs.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only jobs with this label.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    output: OutputOption = Form.TABLE,
) -> None:
    """List jobs, newest first."""
    labels = dict(split_label(each) for each in metadata or [])
    with connected() as client:
        found = client.jobs.all(state=state, name=name, metadata=labels)
        Printer(output).rows(map(row, itertools.islice(found, limit)))


@jobs.command()
def show(job: JobArgument, output: OutputOption = Form.TABLE) -> None:
    """Show one job."""
    with connected() as client:
        found = client.jobs.get(job)
    parts = {name: value for name, value in found.raw.items() if name != "spec"}
    Printer(output).one(Row(found.raw, flat(parts), found.id))


@jobs.command()
def watch(job: JobArgument, output: OutputOption = Form.TABLE) -> None:
    """Look on until a job has ended. Ctrl-C stops watching, not the job."""
    with connected() as client:
        ended = watched(client.jobs.get(job))
    Printer(output).rows([row(ended)])
    concluded(ended)


@jobs.command()
def metrics(
    job: JobArgument,
    series: Annotated[str, typer.Option(help="Names, with commas.")] = "loss",
    after: Annotated[int | None, typer.Option(help="Only iterations after this one.")] = None,
    before: Annotated[int | None, typer.Option(help="Only iterations before this one.")] = None,
    points: Annotated[
        int | None, typer.Option(min=1, help="The extremes of so many buckets.")
    ] = None,
    smooth: Annotated[float | None, typer.Option(help="0…1: how much to average.")] = None,
    output: OutputOption = Form.CSV,
) -> None:
    """Print series of a job: every iteration, or a picture's worth of points."""
    asked: dict[str, Any] = {
        "series": series.split(","),
        "before": before,
        "points": points,
        "smooth": smooth,
    }
    with connected() as client:
        pages = pages_of(client.jobs.at(job), asked, after)
        Printer(output).rows(itertools.chain.from_iterable(map(iterations, pages)))


def pages_of(job: JobRef, asked: dict[str, Any], after: int | None) -> Iterator[Metrics]:
    """The pages of a job's series by now."""
    while True:
        page = job.metrics(**asked, after=after)
        yield page
        if page.next_after is None:
            return
        after = page.next_after


def iterations(page: Metrics) -> Iterator[Row]:
    """A row for each iteration of a page, with what each series has there."""
    values = {name: by_iteration(points) for name, points in page.series.items()}
    for n in sorted(set().union(*values.values())):
        cells = {"iteration": n, **{name: found.get(n) for name, found in values.items()}}
        yield Row({name: spoken(value) for name, value in cells.items()}, cells)


def by_iteration(points: Points) -> dict[int, float]:
    """The values of a series by their iterations."""
    return dict(zip(points.iterations, points.values, strict=True))


def spoken(value: float | None) -> float | str | None:
    """A number as JSON carries it."""
    return plain(value) if isinstance(value, float) and value - value != 0 else value


def each(jobs: Iterable[str], verb: str, output: Form) -> None:
    """Do one thing to each job and show what they are then; one that refuses stops no other."""
    several = Several()
    with connected() as client:
        done = several.each(jobs, lambda job: row(getattr(client.jobs.at(job), verb)()))
        if (first := next(done, None)) is not None:
            Printer(output).rows(itertools.chain([first], done))
    several.concluded()


@jobs.command()
def cancel(job: JobsArgument, output: OutputOption = Form.TABLE) -> None:
    """Stop jobs for good; what they have recorded stays."""
    each(job, "cancel", output)


@jobs.command()
def pause(job: JobsArgument, output: OutputOption = Form.TABLE) -> None:
    """Stop jobs for now."""
    each(job, "pause", output)


@jobs.command()
def resume(job: JobsArgument, output: OutputOption = Form.TABLE) -> None:
    """Let paused jobs go on."""
    each(job, "resume", output)


@jobs.command()
def retry(job: JobsArgument, output: OutputOption = Form.TABLE) -> None:
    """Make new jobs that go on from the newest checkpoints of jobs that failed."""
    each(job, "retry", output)


@jobs.command()
def delete(job: JobsArgument) -> None:
    """Delete jobs that have ended, with all that they recorded."""
    several = Several()
    with connected() as client:
        several.delete(job, lambda one: client.jobs.at(one).delete())
    several.concluded()


def row(job: Job) -> Row:
    """A job as a row of a table."""
    cells = {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "iteration": job.progress.iteration,
        "iterations": job.progress.iterations,
        "loss": job.latest.get("loss"),
        "created": job.created_at,
    }
    return Row(job.raw, cells, job.id)


def split_label(text: str) -> tuple[str, str]:
    """`KEY=VALUE` as the two."""
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} has no `=`", param_hint="--metadata")
    return key, value
