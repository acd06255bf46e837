"""Trained models by name and version."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.pagination import Page, page
from app.database.upsert import insert
from app.errors import Conflict, NotFound, Unavailable
from app.ids import new_id
from app.services.jobs import job_repository
from app.storage import DamagedFile, Storage, Stored
from app.tables import Job, JobState, Model, ModelVersion


class Described(NamedTuple):
    """A model and its newest version."""

    model: Model
    newest: ModelVersion


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


class Which(NamedTuple):
    """The model that is asked: by name and version (the newest), or by the job that left it."""

    name: str | None = None
    version: int | None = None
    job_id: str | None = None


class Served(NamedTuple):
    """What a prediction needs to know of a version; ``name``: what its answer calls the model."""

    name: str
    version: int
    location: str
    sha256: str


def served(session: Session, which: Which) -> Served:
    """The version that answers; raises ``NotFound``, or ``Conflict`` when the job has left none."""
    if which.job_id is not None:
        job = job_repository.get(session, which.job_id)
        name, found = job.name, of_job(session, job)
    else:
        assert which.name is not None
        name, found = which.name, find(session, which.name, which.version)
    return Served(name, found.version, found.location, found.sha256)


def listed(session: Session, limit: int, after: str | None) -> Page[Described]:
    """Models, newest first, each with its newest version."""
    found = page(session, select(Model), Model.id, limit, after)
    newest = newest_of(session, [model.id for model in found.rows])
    return Page([Described(model, newest[model.id]) for model in found.rows], found.next)


def described(session: Session, name: str) -> Described:
    """A model by its name; raises ``NotFound``."""
    newest = find(session, name)
    model = session.scalars(select(Model).where(Model.id == newest.model_id)).one()
    return Described(model, newest)


def newest_of(session: Session, model_ids: list[str]) -> dict[str, ModelVersion]:
    """The newest version of each model; every model has one."""
    newest = (
        select(ModelVersion.model_id, func.max(ModelVersion.version).label("version"))
        .where(ModelVersion.model_id.in_(model_ids))
        .group_by(ModelVersion.model_id)
        .subquery()
    )
    query = select(ModelVersion).join(
        newest,
        (ModelVersion.model_id == newest.c.model_id) & (ModelVersion.version == newest.c.version),
    )
    return {version.model_id: version for version in session.scalars(query)}


def file(storage: Storage, version: ModelVersion) -> Path:
    """The file of a version, proved by its hash; raises ``Unavailable`` when it is damaged."""
    try:
        return storage.proved(version.location, version.sha256)
    except DamagedFile as error:
        raise Unavailable("the model's file is damaged; train it again") from error
