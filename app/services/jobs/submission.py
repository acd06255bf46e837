"""New jobs: checked, built, queued."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app import broker
from app.database.session import OpenReadSession, after_commit
from app.errors import Invalid
from app.ids import new_id
from app.services.datasets import dataset_repository
from app.services.jobs import event_log
from app.services.tenancy import quotas
from app.tables import Job, JobState
from training.datasets.uploaded import Resolver
from training.spec.mistakes import Mistakes
from training.spec.plan import Plan
from training.validation.check import Limits, check
from training.validation.fusion_rules import fusion_key, why_not_fusable


def planned(look: OpenReadSession, raw: Any, limits: Limits) -> Plan:
    """What a new job would do; raises ``Invalid`` with every mistake of the specification."""
    return checked(raw, limits, dataset_repository.asker(look))


def create(session: Session, plan: Plan, request_id: str) -> Job:
    """A new job, queued."""
    job = build(plan, request_id)
    enqueue(session, [job], None)
    return job


def checked(raw: Any, limits: Limits, stored: Resolver) -> Plan:
    """The plan of a specification; raises ``Invalid`` with every mistake."""
    try:
        return check(raw, limits, stored)
    except Mistakes as found:
        count = len(found.mistakes)
        summary = f"the specification has {count} mistake{'s' * (count != 1)}"
        raise Invalid(summary, found.mistakes, code="invalid_specification") from found


def build(plan: Plan, request_id: str, job_id: str | None = None, **columns: Any) -> Job:
    """A job that is not kept yet; ``columns`` are what does not follow from its plan."""
    job_id, spec = job_id or new_id("job"), plan.spec
    values: dict[str, Any] = {
        "id": job_id,
        "name": spec.name or job_id,
        "spec": spec.model_dump(mode="json"),
        "labels": spec.metadata,
        "priority": spec.priority,
        "device_wanted": spec.device,
        "iterations": plan.iterations,
        "series": ["loss", *plan.validation_series],
        "dataset_id": dataset_repository.named_in(spec),
        "signature": plan.signature,
        "fusion_key": fusion_key(plan) if why_not_fusable(plan, "cpu") is None else None,
        "request_id": request_id,
    }
    return Job(**(values | columns))


def enqueue(session: Session, created: Sequence[Job], reason: str | None) -> None:
    """Keeps new jobs, tells their logs, and rings once. Every new job comes through here."""
    quotas.admit(session, len(created))
    needed = {job.dataset_id for job in created if job.dataset_id is not None}
    if needed:
        dataset_repository.hold(session, needed)
    data = {"state": JobState.QUEUED, "reason": reason, "attempt": 0}
    log = [event_log.first(job, "state", data) for job in created]
    session.add_all(created)
    session.flush()
    session.add_all(log)
    session.flush()
    after_commit(session, lambda: broker.notify(broker.TRAINING))
