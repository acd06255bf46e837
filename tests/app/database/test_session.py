"""The database: transactions, and a tenant in every query, on both kinds."""

import threading
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, aliased

from app.database.session import Database, after_commit
from app.database.upsert import insert
from app.ids import new_id
from app.tables import ApiKey, Job, MetricChunk, Model, ModelVersion, Tenant

Tenants = tuple[str, str]


def new_job(**columns: object) -> Job:
    values: dict[str, object] = {
        "id": new_id("job"),
        "name": "a job",
        "spec": {},
        "labels": {},
        "priority": 0,
        "device_wanted": "auto",
        "iterations": 1,
        "series": ["loss"],
        "request_id": "req_test",
    }
    return Job(**(values | columns))


# -- transactions


def test_a_session_that_ends_well_has_committed(rows: Database) -> None:
    with rows.session() as session:
        session.add(Tenant(id="tnt_new", name="new"))
    with rows.session(write=False) as session:
        assert session.get(Tenant, "tnt_new") is not None


def test_a_session_that_ends_with_an_exception_has_changed_nothing(rows: Database) -> None:
    def fail() -> None:
        with rows.session() as session:
            session.add(Tenant(id="tnt_new", name="new"))
            session.flush()
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    with rows.session(write=False) as session:
        assert session.get(Tenant, "tnt_new") is None


def test_what_is_to_come_after_the_commit_sees_it_durable(rows: Database) -> None:
    seen: list[object] = []

    def look() -> None:
        with rows.session(write=False) as other:
            seen.append(other.get(Tenant, "tnt_new") is not None)

    with rows.session() as session:
        after_commit(session, look)
        after_commit(session, lambda: seen.append("second"))
        session.add(Tenant(id="tnt_new", name="new"))
        session.flush()
        assert seen == []
    assert seen == [True, "second"]


def test_nothing_comes_after_a_rollback(rows: Database) -> None:
    seen: list[str] = []

    def fail() -> None:
        with rows.session() as session:
            after_commit(session, lambda: seen.append("called"))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert seen == []


def test_nothing_comes_after_a_commit_that_fails(rows: Database) -> None:
    seen: list[str] = []
    with rows.session() as session:
        deferred = "REFERENCES tenants (id) DEFERRABLE INITIALLY DEFERRED"
        session.execute(text(f"CREATE TABLE later (tenant_id VARCHAR {deferred})"))

    def fail() -> None:
        with rows.session() as session:
            after_commit(session, lambda: seen.append("called"))
            session.execute(text("INSERT INTO later VALUES ('nobody')"))
            seen.append("accepted")

    with pytest.raises(IntegrityError):
        fail()
    with rows.session() as session:
        session.execute(text("DROP TABLE later"))
    assert seen == ["accepted"]


def test_a_session_can_be_read_after_it_has_ended(rows: Database, tenants: Tenants) -> None:
    with rows.session(tenants[0]) as session:
        job = new_job(id="job_a")
        session.add(job)
    assert (job.id, job.tenant_id, job.state) == ("job_a", tenants[0], "queued")
    assert job.created_at.tzinfo is UTC


def test_a_session_that_only_reads_sees_one_moment(rows: Database) -> None:
    count = select(func.count()).select_from(Tenant)
    with rows.session(write=False) as reader:
        before = reader.scalar(count)
        with rows.session() as writer:
            writer.add(Tenant(id=new_id("tnt"), name="meanwhile"))
        assert reader.scalar(count) == before
    with rows.session(write=False) as later:
        assert later.scalar(count) == (before or 0) + 1


def test_on_sqlite_a_writer_takes_its_lock_at_once_and_a_reader_none(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/locks.db")
    impatient = sa.create_engine(database.engine.url, connect_args={"timeout": 0})

    def write() -> None:
        with impatient.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")

    with database.session(write=False) as session:
        session.execute(text("SELECT 1"))
        write()
    with database.session() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(OperationalError, match="locked"):
            write()
    write()
    database.dispose()
    impatient.dispose()


def test_a_second_writer_waits_for_the_first_and_sees_what_it_wrote(
    rows: Database, tenants: Tenants
) -> None:
    began = threading.Event()

    def add_a_word() -> None:
        began.set()
        with rows.session() as session:
            named = update(Tenant).where(Tenant.id == tenants[1])
            session.execute(named.values(name=Tenant.name + " twice"))

    thread = threading.Thread(target=add_a_word)
    with rows.session() as session:
        session.execute(update(Tenant).where(Tenant.id == tenants[1]).values(name="renamed"))
        thread.start()
        assert began.wait(10)
    thread.join(30)
    with rows.session(write=False) as session:
        assert session.get_one(Tenant, tenants[1]).name == "renamed twice"


def test_on_sqlite_a_commit_is_on_the_disk_and_rows_refer_to_rows(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/pragmas.db")
    with database.session() as session:
        found = [
            session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    database.dispose()
    assert found == ["wal", 2, 1]


# -- tenants


@pytest.fixture
def both(rows: Database, tenants: Tenants) -> Tenants:
    """Each tenant has a job with a chunk of losses, a model with a version, and a key."""
    for tenant_id, name in zip(tenants, ("a", "b"), strict=True):
        with rows.session(tenant_id) as session:
            session.add(new_job(id=f"job_{name}"))
            session.add(Model(id=f"mdl_{name}", name="same"))
            session.flush()
            stored = {"location": "x", "sha256": "x", "size": 1}
            session.add(
                ModelVersion(
                    id=f"ver_{name}", model_id=f"mdl_{name}", version=1, job_id="job", **stored
                )
            )
    return tenants


QUERIES: dict[str, Callable[[Session], object]] = {
    "select": lambda s: list(s.scalars(select(Job.id))),
    "count": lambda s: s.scalars(select(func.count()).select_from(Job)).all(),
    "where": lambda s: list(s.scalars(select(Job.id).where(Job.id.in_(["job_a", "job_b"])))),
    "or": lambda s: list(s.scalars(select(Job.id).where((Job.id == "job_b") | sa.true()))),
    "alias": lambda s: list(s.scalars(select(aliased(Job).id))),
    "join": lambda s: list(
        s.scalars(select(ModelVersion.id).join(Model, Model.id == ModelVersion.model_id))
    ),
    "outer": lambda s: list(
        s.scalars(select(Model.id).select_from(Tenant).join(Model, sa.true(), isouter=True))
    ),
    "union": lambda s: list(s.scalars(select(Job.id).union(select(Model.id)))),
    "exists": lambda s: list(
        s.scalars(select(Job.id).where(select(Model.id).where(Model.id == "mdl_b").exists()))
    ),
    "subquery": lambda s: list(
        s.scalars(select(Job.id).where(Job.tenant_id.in_(select(Model.tenant_id))))
    ),
    "query": lambda s: [job.id for job in s.query(Job).all()],
    "get a": lambda s: getattr(s.get(Job, "job_a"), "id", None),
    "get b": lambda s: getattr(s.get(Job, "job_b"), "id", None),
    "key": lambda s: list(s.scalars(select(ApiKey.id))),
}

SEEN = {
    "select": ["job_a"],
    "count": [1],
    "where": ["job_a"],
    "or": ["job_a"],
    "alias": ["job_a"],
    "join": ["ver_a"],
    "outer": ["mdl_a", "mdl_a"],
    "union": ["job_a", "mdl_a"],
    "exists": [],
    "subquery": ["job_a"],
    "query": ["job_a"],
    "get a": "job_a",
    "get b": None,
}


@pytest.mark.parametrize("query", SEEN)
def test_a_tenants_session_sees_that_tenants_rows_alone(
    query: str, rows: Database, both: Tenants
) -> None:
    with rows.session(both[0], write=False) as session:
        seen = QUERIES[query](session)
    assert (sorted(seen) if isinstance(seen, list) else seen) == SEEN[query]


def test_a_tenants_session_does_not_see_the_keys_of_another(rows: Database, both: Tenants) -> None:
    with rows.session(both[1], write=False) as session:
        assert QUERIES["key"](session) == []
    with rows.session(both[0], write=False) as session:
        assert QUERIES["key"](session) != []


def test_without_a_tenant_a_session_sees_all(rows: Database, both: Tenants) -> None:
    with rows.session(write=False) as session:
        assert sorted(session.scalars(select(Job.id))) == ["job_a", "job_b"]


def names(rows: Database) -> dict[str, str]:
    with rows.session(write=False) as session:
        return {row.id: row.name for row in session.execute(select(Job.id, Job.name))}


def test_an_update_of_everything_changes_ones_own_rows(rows: Database, both: Tenants) -> None:
    with rows.session(both[0]) as session:
        session.execute(update(Job).values(name="changed"))
        session.execute(update(Job).where(Job.id == "job_b").values(name="stolen"))
    assert names(rows) == {"job_a": "changed", "job_b": "a job"}


def test_an_update_that_returns_gives_ones_own_rows(rows: Database, both: Tenants) -> None:
    with rows.session(both[0]) as session:
        changed = update(Job).values(priority=5).returning(Job.id)
        assert list(session.scalars(changed)) == ["job_a"]


def test_a_delete_of_everything_takes_ones_own_rows(rows: Database, both: Tenants) -> None:
    with rows.session(both[0]) as session:
        session.execute(delete(Job))
        session.execute(delete(Job).where(Job.id == "job_b"))
    assert names(rows) == {"job_b": "a job"}


@pytest.mark.parametrize("tenant", [0, 1])
def test_new_rows_are_the_sessions_tenants(tenant: int, rows: Database, tenants: Tenants) -> None:
    with rows.session(tenants[tenant]) as session:
        session.add(new_job(id="job_new"))
    with rows.session(write=False) as session:
        assert session.get_one(Job, "job_new").tenant_id == tenants[tenant]


def test_a_row_of_another_tenant_cannot_be_added(rows: Database, tenants: Tenants) -> None:
    def smuggle() -> None:
        with rows.session(tenants[0]) as session:
            session.add(new_job(tenant_id=tenants[1]))

    with pytest.raises(AssertionError, match="a row of another tenant"):
        smuggle()
    assert names(rows) == {}


def test_a_row_cannot_be_given_to_another_tenant(rows: Database, both: Tenants) -> None:
    def give() -> None:
        with rows.session(both[0]) as session:
            session.get_one(Job, "job_a").tenant_id = both[1]

    with pytest.raises(AssertionError, match="a row of another tenant"):
        give()
    with rows.session(write=False) as session:
        assert session.get_one(Job, "job_a").tenant_id == both[0]


def test_every_table_but_the_services_own_belongs_to_a_tenant() -> None:
    owned = {table.name for table in Job.metadata.sorted_tables if "tenant_id" in table.columns}
    everything = {table.name for table in Job.metadata.sorted_tables}
    assert everything - owned == {"tenants", "workers", "counters"}


def test_an_insert_that_conflicts_can_be_let_go(rows: Database, both: Tenants) -> None:
    same = {"id": "mdl_c", "tenant_id": both[0], "name": "same"}
    with rows.session() as session:
        session.execute(insert(session, Model).values(**same).on_conflict_do_nothing())
        assert session.scalar(select(func.count()).select_from(Model)) == 2


def test_rows_go_with_what_they_belong_to(rows: Database, both: Tenants) -> None:
    with rows.session() as session:
        session.execute(delete(Tenant).where(Tenant.id == both[1]))
    with rows.session(write=False) as session:
        left = [list(session.scalars(select(table.id))) for table in (Job, Model, ModelVersion)]
        assert left == [["job_a"], ["mdl_a"], ["ver_a"]]
        assert list(session.scalars(select(MetricChunk.job_id))) == []
