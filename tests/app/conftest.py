"""Jobs that several tests look at, tenants, and databases without a service on them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import delete, select

from app.database.session import Database
from app.ids import new_id
from app.services.tenancy.keys import SCOPES, mint
from app.tables import Job, Model, Task, Tenant
from tests.app.talk import DIGITS, TINY, Document, trained
from tests.databases import ROOT
from tests.databases import Database as Kind
from tests.servers import Process, eventually
from tests.service import Service, free_port
from tests.specifications import ONE_WEIGHT

Connect = Callable[..., httpx2.Client]


@contextmanager
def database_of(service: Service) -> Iterator[Database]:
    """The rows under a running service."""
    database = Database(service.database_url)
    try:
        yield database
    finally:
        database.dispose()


def new_key(
    service: Service,
    tenant: str = "default",
    scopes: tuple[str, ...] = SCOPES,
    expires_at: datetime | None = None,
) -> str:
    """A key of a tenant, who is made where there is none of that name."""
    with database_of(service) as database, database.session() as session:
        owner = session.scalar(select(Tenant).where(Tenant.name == tenant))
        if owner is None:
            owner = Tenant(id=new_id("tnt"), name=tenant)
            session.add(owner)
            session.flush()
        return mint(session, owner.id, scopes, expires_at).secret


@pytest.fixture
def connect() -> Iterator[Connect]:
    """``connect(service, key)``: a client of its own; without a key, a stranger."""
    with ExitStack() as stack:

        def open_client(service: Service, key: str | None = None) -> httpx2.Client:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            client = httpx2.Client(
                base_url=service.url, headers=headers, timeout=70, trust_env=False
            )
            return stack.enter_context(client)

        yield open_client


@pytest.fixture
def tenant(connect: Connect) -> Connect:
    """``tenant(service)``: a client of a new tenant, who owns nothing yet."""
    return lambda service: connect(service, new_key(service, tenant=new_id("tenant")))


@pytest.fixture
def another_api(service: Service, connect: Connect) -> Iterator[Connect]:
    """``another_api(replay_wait_seconds=…)``: one more API process, with settings of its own."""
    with ExitStack() as stack:

        def start(**settings: object) -> httpx2.Client:
            port = free_port()
            ours = {f"FALLLINE_{k.upper()}": str(v) for k, v in {"port": port, **settings}.items()}
            process = Process(
                "another api",
                [sys.executable, "-m", "app"],
                log=service.home / f"api-at-{port}.log",
                cwd=ROOT,
                env=service.env | ours,
            )
            stack.callback(process.stop)
            client = connect(service, service.key)
            client.base_url = httpx2.URL(f"http://127.0.0.1:{port}")
            process.ready(lambda: alive(client))
            return client

        yield start


def alive(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.ConnectError:
        return False


@pytest.fixture(scope="session")
def shared_rows(database: Kind) -> Iterator[Database]:
    """To copy a database for every test would take longer than the tests do."""
    with database.migrated() as url:
        rows = Database(url)
        yield rows
        rows.dispose()


@pytest.fixture
def rows(shared_rows: Database) -> Iterator[Database]:
    """A database with the tenant ``default``, its key, and nothing else."""
    yield shared_rows
    with shared_rows.session() as session:
        for table in (Job, Model):
            session.execute(delete(table))
        session.execute(delete(Tenant).where(Tenant.name != "default"))


@pytest.fixture
def tenants(rows: Database) -> tuple[str, str]:
    """The ids of two tenants in ``rows``."""
    with rows.session() as session:
        first = session.scalars(select(Tenant.id)).one()
        second = Tenant(id=new_id("tnt"), name="second")
        session.add(second)
        return first, second.id


@pytest.fixture(scope="session")
def one_weight(service: Service) -> Document:
    """The job of one weight, trained."""
    return trained(service, ONE_WEIGHT)


@pytest.fixture(scope="session")
def digits(service: Service) -> Document:
    """A classifier with validation data and checkpoints, trained."""
    return trained(service, DIGITS, checkpoint_every_seconds=0)


@pytest.fixture(scope="session")
def theirs(service: Service) -> dict[str, str]:
    """Things that the tenant ``default`` owns, by the name of the path parameter."""
    headers, table = {"Content-Type": "text/csv"}, "a,b\n1,2\n2,3\n3,5\n"
    dataset = service.http.post("/v1/datasets?target=b", content=table, headers=headers)
    assert dataset.status_code == 201, dataset.text
    document = trained(service, TINY, name="private-model", checkpoint_every_seconds=0)
    answer = service.http.get(f"/v1/jobs/{document['id']}/iterations/1")
    assert answer.status_code == 200
    with database_of(service) as database, database.session(write=False) as session:
        task = session.scalars(select(Task.id).where(Task.job_id == document["id"])).first()
    assert task
    return {
        "job_id": document["id"],
        "task_id": task,
        "name": "private-model",
        "dataset_id": dataset.json()["id"],
    }


def log_of(service: Service, module: str) -> Path:
    """Where a process of the service, ``app`` or ``worker``, writes."""
    (log,) = service.home.glob(f"{module}-*.log")
    return log


def logged(service: Service, module: str, *words: str) -> str:
    """The first line of a log with all these words, as soon as it is there."""

    def line() -> str:
        lines = log_of(service, module).read_text().splitlines()
        return next((line for line in lines if all(word in line for word in words)), "")

    return eventually(line, f"{module} logs {words}", within=30, every=0.05)
