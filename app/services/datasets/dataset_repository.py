"""Uploaded data: kept, listed, shown, deleted; and what jobs need to know of them."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.database.pagination import Page, page
from app.database.session import Database, OpenReadSession, after_commit
from app.errors import Conflict, NotFound, Unavailable
from app.ids import new_id
from app.services.tenancy import quotas
from app.storage import DamagedFile, Storage, Stored
from app.tables import TERMINAL, Dataset, Job
from training.catalog import Column
from training.datasets.array_file import Arrays, NotArrays, mapped
from training.datasets.uploaded import Opener, Resolver, Table, shown, truth
from training.spec.job_spec import STORED, JobSpec

KIND = "dataset"


class Described(NamedTuple):
    """What was received and what it was found to be: all of a row but where its file is."""

    name: str | None
    target: str
    rows: int
    schema: dict[str, Any]
    source: dict[str, Any]
    statistics: dict[str, Any]


def add(session: Session, described: Described, stored: Stored) -> Dataset:
    """A new row for a file that is kept; raises ``QuotaExceeded``."""
    quotas.keep(session, stored.size)
    dataset_id = new_id("ds")
    given = described._asdict() | {"name": described.name or dataset_id}
    row = Dataset(id=dataset_id, **given, **stored._asdict())
    session.add(row)
    session.flush()
    return row


def get(session: Session, dataset_id: str) -> Dataset:
    """One data set; raises ``NotFound``."""
    found = session.scalar(select(Dataset).where(Dataset.id == dataset_id))
    if found is None:
        raise NotFound(f"there is no data set {dataset_id[:64]}")
    return found


def listed(session: Session, limit: int, after: str | None) -> Page[Dataset]:
    """Data sets, newest first."""
    return page(session, select(Dataset), Dataset.id, limit, after)


def delete(session: Session, database: Database, storage: Storage, dataset_id: str) -> None:
    """Removes the row; raises ``Conflict`` while a job that has not ended needs it.

    Jobs that have ended keep what they recorded and the models they left. The file goes too, unless
    another row has it.
    """
    query = select(Dataset).where(Dataset.id == dataset_id).with_for_update()
    found = session.scalar(query)
    if found is None:
        raise NotFound(f"there is no data set {dataset_id[:64]}")
    needed = Job.dataset_id == dataset_id
    live = session.scalar(select(Job.id).where(needed, Job.state.not_in(TERMINAL)).limit(1))
    if live is not None:
        sentence = f"the job {live} needs this data set and has not ended; cancel it first"
        raise Conflict(sentence, code="dataset_in_use")
    session.execute(update(Job).where(needed).values(dataset_id=None))
    session.execute(sql_delete(Dataset).where(Dataset.id == dataset_id))
    after_commit(session, partial(forget, database, storage, found.location))


def forget(database: Database, storage: Storage, location: str) -> None:
    """Removes a file that no row of any tenant has any more."""
    with storage.lock(KIND), database.session(write=False) as session:
        query = select(Dataset.id).where(Dataset.location == location).limit(1)
        if session.scalar(query) is None:
            storage.delete(location)


def table(row: Dataset) -> Table:
    """What the engine wants to know of a data set."""
    target = next(c for c in row.schema["columns"] if c["role"] == "target")
    features = [c for c in row.schema["columns"] if c["role"] == "feature"]
    labels = target["categories"] or ()
    counts = row.statistics["classes"] or {}
    return Table(
        row.rows,
        tuple(
            Column(c["name"], c["kind"], tuple(c["categories"] or ()), c["missing"])
            for c in features
        ),
        row.target,
        target["kind"] == "numeric",
        tuple(labels),
        tuple(counts[str(label)] for label in labels),
    )


def looker(session: Session) -> Resolver:
    """Tells ``training.validation.check`` of the tenant's data sets."""

    def resolve(dataset_id: str) -> Table | None:
        row = session.scalar(select(Dataset).where(Dataset.id == dataset_id))
        return None if row is None else table(row)

    return resolve


def asker(look: OpenReadSession) -> Resolver:
    """The same for work that may take long: no transaction is open but to ask."""

    def resolve(dataset_id: str) -> Table | None:
        with look() as session:
            return looker(session)(dataset_id)

    return resolve


def finder(session: Session) -> Resolver:
    """Tells of the data sets of jobs that were accepted before."""
    return surely(looker(session))


def still(look: OpenReadSession) -> Resolver:
    """``finder`` for work that may take long."""
    return surely(asker(look))


def surely(stored: Resolver) -> Resolver:
    """The same for a job that was accepted before: a data set that is not there was deleted."""
    return lambda dataset_id: there(stored(dataset_id))


def hold(session: Session, dataset_ids: Collection[str]) -> None:
    """Data sets that new jobs need: they are not deleted before this transaction, and the jobs it
    adds, are there. Raises ``Conflict`` when one was deleted since it was looked at; they never
    change."""
    query = select(Dataset.id).where(Dataset.id.in_(dataset_ids)).order_by(Dataset.id)
    held = session.scalars(query.with_for_update(read=True, key_share=True)).all()
    if len(held) < len(dataset_ids):
        sentence = "a data set that is needed was deleted just now"
        raise Conflict(sentence, code="dataset_deleted")


def there(found: Table | None) -> Table:
    """Jobs that have ended outlive their data, and then cannot be computed again."""
    if found is None:
        sentence = "the data set that this job was trained on has been deleted"
        raise Conflict(sentence, code="dataset_deleted")
    return found


def named_in(spec: JobSpec) -> str | None:
    """The id of the data set that a specification names, if it names one."""
    name = spec.dataset
    return name if isinstance(name, str) and STORED.fullmatch(name) else None


def opener(find: Callable[[str], Dataset], storage: Storage) -> Opener:
    """Opens the arrays of a data set; raises ``DamagedFile``."""

    def open_(dataset_id: str) -> Arrays:
        row = find(dataset_id)
        try:
            return mapped(storage.proved(row.location, row.sha256))
        except NotArrays as error:
            raise DamagedFile(f"{row.location} holds no arrays") from error

    return open_


def behind(session: Session, storage: Storage, spec: JobSpec) -> Opener:
    """``opener`` for the data set of a job, to be used when the transaction is over."""
    name = named_in(spec)
    found = {name: get(session, name)} if name is not None else {}
    return opener(found.__getitem__, storage)


def preview(row: Dataset, storage: Storage, rows: int) -> list[dict[str, Any]]:
    """The first rows, by column. The whole file is proved, so no transaction is open meanwhile."""
    try:
        arrays = opener(lambda _: row, storage)(row.id)
    except DamagedFile as error:
        raise Unavailable("the file of this data set is damaged; upload it again") from error
    known_of = table(row)
    return [
        {**shown(arrays, known_of.columns, i), row.target: truth(arrays, known_of, i)}
        for i in range(min(rows, row.rows))
    ]
