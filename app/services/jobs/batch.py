"""Many jobs at once: all of them, or none."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import Field, ValidationError
from sqlalchemy.orm import Session

from app.database.session import OpenReadSession
from app.errors import Invalid
from app.ids import new_id
from app.services.datasets import dataset_repository
from app.services.jobs import submission
from app.tables import Job
from training.catalog.base import Section
from training.spec.merge_patch import merged
from training.spec.mistakes import MAX_LISTED_COUNT, Mistake, translate
from training.spec.plan import Plan
from training.validation.check import Limits

Some = Field(min_length=1, max_length=1000)


class Batch(Section):
    """Either ``jobs``, or ``base`` and the ``changes`` that make a job of it each: they are merged
    into it as by a fork."""

    jobs: Annotated[list[Any], Some] | None = None
    base: dict[str, Any] | None = None
    changes: Annotated[list[dict[str, Any]], Some] | None = None


def planned(look: OpenReadSession, raw: Any, limits: Limits) -> list[Plan]:
    """What new jobs would do, in the order given; raises ``Invalid`` with the mistakes of all."""
    batch, plans = read(raw), list[Plan]()
    wrong: dict[Mistake, None] = {}
    stored = cache(dataset_repository.asker(look))
    for number, spec in enumerate(specifications(batch)):
        try:
            plans.append(submission.checked(spec, limits, stored))
        except Invalid as found:
            wrong |= {located(batch, number, mistake): None for mistake in found.errors}
        if len(wrong) >= MAX_LISTED_COUNT:
            break
    if wrong:
        raise Invalid(
            "the batch has mistakes", list(wrong)[:MAX_LISTED_COUNT], code="invalid_specification"
        )
    return plans


def create(session: Session, plans: Sequence[Plan], request_id: str) -> list[Job]:
    """New jobs, in the order given, queued."""
    ids = sorted(new_id("job") for _ in plans)  # those of one millisecond are in no order
    created = [
        submission.build(plan, request_id, job_id) for plan, job_id in zip(plans, ids, strict=True)
    ]
    submission.enqueue(session, created, None)
    return created


def read(raw: Any) -> Batch:
    """The request; raises ``Invalid`` when it is no batch."""
    try:
        batch = Batch.model_validate(raw)
    except ValidationError as error:
        found = translate(error, Batch, raw)
        raise Invalid("the batch has mistakes", found, code="invalid_batch") from error
    given = [name for name in Batch.model_fields if getattr(batch, name) is not None]
    if given not in (["jobs"], ["base", "changes"]):
        sentence = "either `jobs`, or `base` and `changes` must be given"
        raise Invalid("this is no batch", [Mistake("", "conflict", sentence)], code="invalid_batch")
    return batch


def specifications(batch: Batch) -> Iterator[Any]:
    """Those of the jobs, one by one."""
    if batch.jobs is not None:
        yield from batch.jobs
        return
    for changes in batch.changes or ():
        yield merged(batch.base or {}, changes)


def located(batch: Batch, number: int, mistake: Mistake) -> Mistake:
    """The mistake where it stands in the request: in the changes if they say it, or touch the
    section that lacks it; else in the base, once for all jobs."""
    if batch.jobs is not None:
        return mistake._replace(pointer=f"/jobs/{number}{mistake.pointer}")
    steps = [s.replace("~1", "/").replace("~0", "~") for s in mistake.pointer.split("/")[1:]]
    changes = (batch.changes or [])[number]
    changed = leads(changes, steps) or (not leads(batch.base, steps) and leads(changes, steps[:1]))
    place = f"/changes/{number}" if changed else "/base"
    return mistake._replace(pointer=place + mistake.pointer)


def leads(document: Any, steps: list[str]) -> bool:
    """Whether these steps lead to something in a document."""
    for step in steps:
        if isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return False
    return True
