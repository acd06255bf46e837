"""Trained models by name and version."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import insert
from app.errors import Conflict, NotFound
from app.ids import new_id
from app.storage import Stored
from app.tables import Job, JobState, Model, ModelVersion


def add_version(session: Session, job: Job, stored: Stored) -> ModelVersion:
    """The next version under the job's name."""
    named = {"tenant_id": job.tenant_id, "name": job.name}
    session.execute(
        insert(session, Model).values(id=new_id("mdl"), **named).on_conflict_do_nothing()
    )
    # Locked, so that two jobs of one name that end together get two versions.
    model = session.scalars(select(Model).filter_by(**named).with_for_update()).one()
    newest = session.scalar(
        select(func.max(ModelVersion.version)).where(ModelVersion.model_id == model.id)
    )
    version = ModelVersion(
        id=new_id("mdl"),
        tenant_id=job.tenant_id,
        model_id=model.id,
        version=(newest or 0) + 1,
        job_id=job.id,
        **stored._asdict(),
    )
    session.add(version)
    return version


def find(session: Session, name: str, version: int | None = None) -> ModelVersion:
    """A version of a model, the newest by default; raises ``NotFound``."""
    query = (
        select(ModelVersion)
        .join(Model, Model.id == ModelVersion.model_id)
        .where(Model.name == name)
        .order_by(ModelVersion.version.desc())
        .limit(1)
    )
    if version is not None:
        query = query.where(ModelVersion.version == version)
    found = session.scalar(query)
    if found is None:
        which = f" version {version}" if version is not None else ""
        raise NotFound(f"there is no model {name[:100]}{which}")
    return found


def of_job(session: Session, job: Job) -> ModelVersion:
    """The model that a job left; raises ``Conflict`` when it has left none (yet)."""
    found = session.scalar(select(ModelVersion).where(ModelVersion.job_id == job.id))
    if found is None:
        hint = "" if job.state == JobState.SUCCEEDED else f": it is {job.state}"
        raise Conflict(f"the job has no model{hint}", code="no_model")
    return found
