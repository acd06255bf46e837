"""`fallline jobs …`"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated

import typer

from fallline.commands.connection import connected
from fallline.commands.each_id import Several
from fallline.commands.estimate import show_plan
from fallline.commands.inputs import changed, labels, specification
from fallline.commands.progress import JobArgument, events, metrics
from fallline.commands.watch import concluded, intervened, watched
from fallline.resources.job import Job
from fallline.terminal.output import Form, OutputOption, Printer, Row, flat

jobs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="JSON, or - for stdin.")]
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
        begun(client.jobs.create(specification(file, change or [])), output, watch=watch)


@jobs.command()
def fork(
    job: JobArgument,
    iteration: Annotated[
        int, typer.Argument(metavar="ITERATION", min=0, help="Where it leaves the old one.")
    ],
    change: SetOption = None,
    watch: WatchOption = False,
    output: OutputOption = Form.TABLE,
) -> None:
    """Make a new job from the state of a job before update ITERATION, with changes."""
    changes = changed({}, change or [])
    with connected() as client:
        begun(client.jobs.at(job).fork(iteration, changes), output, watch=watch)


def begun(job: Job, output: Form, *, watch: bool) -> None:
    """Show a new job, or look on until it has ended."""
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
    with connected() as client:
        found = client.jobs.all(state=state, name=name, metadata=labels(metadata or []))
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


jobs.command()(metrics)
jobs.command()(events)


@jobs.command()
def change(
    job: JobArgument,
    lr: Annotated[float | None, typer.Option(help="The rate from now on.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Where it ends.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="All of its labels anew.")
    ] = None,
    output: OutputOption = Form.TABLE,
) -> None:
    """Change a job, its rate and its end even while it runs."""
    if all(wish is None for wish in (lr, iterations, priority, metadata)):
        raise typer.BadParameter("nothing is to be changed: see --help")
    with connected() as client:
        done = client.jobs.at(job).update(
            lr=lr,
            iterations=iterations,
            priority=priority,
            metadata=labels(metadata) if metadata else None,
        )
    Printer(output).rows([row(done)])
    if lr is not None or iterations is not None:
        last = done.interventions[-1]
        typer.echo(intervened(last.iteration, last.changes), err=True)


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
        several.do(job, lambda one: client.jobs.at(one).delete(), "deleted")
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
