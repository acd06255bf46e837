"""New jobs that go on where another one was: a retry on its course, a fork on another."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError
from sqlalchemy.orm import Session

from app.database.session import OpenReadSession
from app.errors import Conflict, Invalid
from app.ids import new_id
from app.services.datasets import dataset_repository
from app.services.forks import copy
from app.services.jobs import checkpoints, job_repository, lineage, submission
from app.storage import Storage
from app.tables import TERMINAL, Checkpoint, Intervention, Job, JobState
from training.catalog.base import Section
from training.datasets.uploaded import Resolver
from training.spec.merge_patch import merged
from training.spec.mistakes import Mistake, translate
from training.spec.plan import Plan
from training.validation.check import Limits
from training.validation.fusion_rules import fusion_key

Row = dict[str, Any]


class Fork(Section):
    """The state before update ``iteration`` of a job, and what is different from there on."""

    iteration: Annotated[int, Field(ge=0, le=2**31 - 1)]
    changes: dict[str, Any] = Field(default_factory=dict)


UNCHANGEABLE = (
    *("dataset", "split", "prepare", "model"),
    *("device", "precision", "deterministic", "fuse"),
)
"""What a fork cannot change: the state would not fit, or its bits would not be the parent's."""
SLOTS = ("momentum", "amsgrad", "centered")
"""Arguments of optimizers that are off when 0 or false, and need a slot of the state when on."""


class PreparedFork(NamedTuple):
    """A job that goes on where its parent was, with all that it takes over, ready to be kept.

    What is recorded never changes, and neither does a job that has ended: what was read of the
    parent still holds when the heir is kept, if only the parent is still there.
    """

    job: Job
    parent_id: str
    interventions: list[Intervention]
    checkpoints: list[Checkpoint]
    reason: str


def retry(look: OpenReadSession, storage: Storage, job_id: str, request_id: str) -> PreparedFork:
    """The same job again, from the newest checkpoint that can be read."""
    with look() as session:
        parent = job_repository.get(session, job_id)
        if parent.state == JobState.SUCCEEDED:
            raise Conflict("a job that succeeded has nothing to try again; it can be forked")
        if parent.state not in TERMINAL:
            raise Conflict(f"a job that is {parent.state} has not ended; there is nothing to retry")
        log = lineage.interventions(session, [job_id])[job_id]
        plan = lineage.segments(parent, log, dataset_repository.finder(session))[-1].plan
        saved = checkpoints.newest_first(session, parent.id, parent.iteration)
    readable, _ = checkpoints.from_newest_readable(
        saved, lambda row: storage.proved(row.location, row.sha256)
    )
    last = readable[0].iteration if readable else 0
    begins = max([last, *(segment["until"] for segment in parent.lineage)])
    job = new_job(plan, parent, begins, request_id)
    job.retry_of, job.lineage = parent.id, parent.lineage
    job.labels, job.priority = parent.labels, parent.priority
    reason = f"retry of {parent.id} from iteration {last}"
    said = [lineage.spoken(row) for row in log]
    return prepared(look, storage, parent, job, said, readable, reason)


def fork(
    look: OpenReadSession, storage: Storage, job_id: str, raw: Any, limits: Limits, request_id: str
) -> PreparedFork:
    """A job that was the other one before iteration n, and goes its own way from there."""
    asked = read(raw)
    n = asked.iteration
    with look() as session:
        parent = job_repository.get(session, job_id)
        if n > parent.iteration:
            raise Conflict(
                f"the job has recorded {parent.iteration} iterations, so it cannot be forked at {n}"
            )
        log = [lineage.spoken(r) for r in lineage.interventions(session, [job_id])[job_id]]
        saved = checkpoints.newest_first(session, parent.id, n)
    # What is there for the one plan is there for the other.
    stored = cache(dataset_repository.asker(look))
    before = lineage.plan(parent.spec, [], dataset_repository.surely(stored))
    base = parent.spec | {"metadata": parent.labels, "priority": parent.priority}
    after = forked_plan(base, asked.changes, limits, stored)
    refuse(before, after, asked.changes)
    inherited = still_valid([entry for entry in log if entry["iteration"] <= n], asked.changes)
    plan = after.changed(lineage.changes(inherited))
    if plan.iterations < n:
        sentence = f"ends before iteration {n}, where the fork begins"
        raise Invalid(
            "the fork is over", [Mistake("/changes/iterations", "out_of_range", sentence)]
        )
    job = new_job(plan, parent, n, request_id)
    job.forked_from = {"job": parent.id, "iteration": n}
    job.lineage = lineage.descent(parent, log, n)
    reason = f"forked from {parent.id} at iteration {n}"
    return prepared(look, storage, parent, job, inherited, saved, reason)


def prepared(
    look: OpenReadSession,
    storage: Storage,
    parent: Job,
    job: Job,
    log: Sequence[Row],
    saved: Sequence[Checkpoint],
    reason: str,
) -> PreparedFork:
    """All that is written of a new job, but for its series; its files are there already."""
    with look() as session:
        job.latest, job.best = copy.latest_and_best(session, parent, job)
    job.interventions = len(log)
    interventions = [
        Intervention(id=new_id("int"), tenant_id=job.tenant_id, job_id=job.id, number=n, **entry)
        for n, entry in enumerate(log, start=1)
    ]
    files = copy.link_checkpoints(storage, saved, job)
    return PreparedFork(job, parent.id, interventions, files, reason)


def save(session: Session, heir: PreparedFork) -> Job:
    """Queues the new job with all it takes over; raises ``NotFound`` when its parent is gone."""
    parent = job_repository.get(session, heir.parent_id, keep=True)
    submission.enqueue(session, [heir.job], heir.reason)
    session.add_all([*heir.interventions, *heir.checkpoints])
    copy.copy_series(session, parent, heir.job)
    session.flush()
    session.refresh(heir.job)
    return heir.job


@contextmanager
def cleanup_unless_saved(storage: Storage, heir: PreparedFork) -> Iterator[PreparedFork]:
    """Removes the files again when the transaction fails that was to name them."""
    try:
        yield heir
    except BaseException:
        copy.delete_files(storage, heir.checkpoints)
        raise


def read(raw: Any) -> Fork:
    """The request; raises ``Invalid`` with every mistake."""
    try:
        return Fork.model_validate(raw)
    except ValidationError as error:
        found = translate(error, Fork, raw)
        raise Invalid("the fork has mistakes", found, code="invalid_changes") from error


def forked_plan(base: Row, changes: Row, limits: Limits, stored: Resolver) -> Plan:
    """The plan of the changed specification; mistakes point into the changes that made them."""
    try:
        return submission.checked(merged(base, changes), limits, stored)
    except Invalid as found:
        found.errors = tuple(
            mistake._replace(pointer=f"/changes{mistake.pointer}")
            if mistake.pointer[1:].split("/")[0] in changes
            else mistake._replace(
                pointer="/changes", message=f"{mistake.pointer}: {mistake.message}"
            )
            for mistake in found.errors
        )
        raise


def refuse(before: Plan, after: Plan, changes: Row) -> None:
    """Raises ``Invalid`` where the state of the one is no state of the other."""
    old, new = before.spec, after.spec
    wrong = [
        Mistake(f"/changes/{name}", "not_changeable", "cannot be changed by a fork")
        for name in UNCHANGEABLE
        if getattr(old, name) != getattr(new, name)
    ]
    at = "/changes/optimizer"
    if old.optimizer.type != new.optimizer.type:
        sentence = f"must stay `{old.optimizer.type}`, whose state the fork takes over"
        wrong.append(Mistake(f"{at}/type", "not_changeable", sentence))
    else:
        for name in SLOTS:
            if bool(getattr(old.optimizer, name, 0)) != bool(getattr(new.optimizer, name, 0)):
                sentence = "cannot be turned on or off by a fork: the state would not fit"
                wrong.append(Mistake(f"{at}/{name}", "not_changeable", sentence))
    if before.facts != after.facts and not wrong:
        sentence = "makes something else of the target than the job did"
        wrong.append(Mistake("/changes/loss", "not_changeable", sentence))
    if wrong:
        raise Invalid("a fork keeps the data, the model and the kind of state", wrong)


def still_valid(log: Sequence[Row], changes: Row) -> list[Row]:
    """The interventions that go on in a fork: but for those that its specification replaces."""
    optimizer, gone = changes.get("optimizer"), set[str]()
    if isinstance(optimizer, dict) and "lr" in optimizer:
        gone.add("lr")
    if "iterations" in changes or "epochs" in changes:
        gone.add("iterations")
    kept = [
        {**entry, "changes": {k: v for k, v in entry["changes"].items() if k not in gone}}
        for entry in log
    ]
    return [entry for entry in kept if entry["changes"]]


def new_job(plan: Plan, parent: Job, begins: int, request_id: str) -> Job:
    """The new job, with what it has of its parent; it has ``begins`` losses from the start.

    It keeps the numerics class that was committed with its parent. It may train in a group only if
    all of its segments, the parent's and its own, are one graph on the same data.
    """
    key = fusion_key(plan)
    return submission.build(
        plan,
        request_id,
        fusion_key=key if key == parent.fusion_key else None,
        tenant_id=parent.tenant_id,
        iteration=begins,
        epoch=plan.epoch(begins),
        dataset_id=parent.dataset_id,
        execution=parent.execution,
    )
