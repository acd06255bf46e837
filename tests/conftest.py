"""Fixtures. A test that asks for one of these runs twice, as [sqlite] and as [postgresql].

database_url        a fresh, migrated database
empty_database_url  a fresh one without a table
service             the whole service, shared by the session
api                 the same without a worker: jobs stay queued
own_service         starts private ones, for tests that kill things
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir
from pytest_timeout import get_env_settings

from app import broker as queue
from app.config import get_settings
from app.hints.publisher import publisher
from tests.databases import KINDS, ROOT, Database
from tests.servers import Process, Redis
from tests.service import Service, ring_at, running

# The tests bring their own servers: neither the developer's Fallline nor their PostgreSQL.
for name in list(os.environ):
    if name.startswith(("FALLLINE_", "PG")):
        del os.environ[name]

# The same examples on every machine and every run, and no deadline on a busy one.
settings.register_profile("fallline", derandomize=True, deadline=None)
settings.load_profile("fallline")
set_hypothesis_home_dir(ROOT / ".venv/cache/hypothesis")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--cases 10000``: how many requests the contract is tried with, on each database."""
    parser.addoption("--cases", type=int, default=1100)
    parser.addoption("--first-seed", type=int, default=0)


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--cases"))


@pytest.fixture
def first_seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--first-seed"))


@pytest.fixture(scope="session", params=list(KINDS))
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with KINDS[request.param]() as database:
        yield database


@pytest.fixture
def database_url(database: Database) -> Iterator[str]:
    with database.migrated() as url:
        yield url


@pytest.fixture
def empty_database_url(database: Database) -> Iterator[str]:
    with database.empty() as url:
        yield url


@pytest.fixture(scope="session")
def service(database: Database) -> Iterator[Service]:
    with database.empty() as url, running(url, workers=1) as service:
        yield service


@pytest.fixture(scope="session")
def api(database: Database) -> Iterator[Service]:
    with database.empty() as url, running(url, workers=0) as service:
        yield service


@pytest.fixture
def own_service(database: Database) -> Iterator[Callable[..., Service]]:
    """``own_service(workers=2, lease_seconds=3)``: other keywords become FALLLINE_ settings.

    A worker has one training process unless told otherwise.
    """
    with ExitStack() as stack:

        def start(workers: int = 1, **options: object) -> Service:
            url = stack.enter_context(database.empty())
            options = {"worker_processes": 1, **options}
            return stack.enter_context(running(url, workers=workers, **options))

        yield start


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A broker at which the test's own process rings."""
    server = Redis()
    ring_at(server.url, monkeypatch)
    yield server
    queue.producer().close()
    get_settings.cache_clear()
    queue.producer.cache_clear()
    publisher.cache_clear()
    server.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Give the teardown a limit of its own: that of a test is lifted when the test fails."""
    limit = get_env_settings(item.config)
    if limit.timeout:
        item.ihook.pytest_timeout_set_timer(item=item, settings=limit)
    try:
        yield
    finally:
        item.ihook.pytest_timeout_cancel_timer(item=item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every running process's log under a test that failed."""
    report = yield
    if report.failed:
        for process in Process.running:
            report.sections.append((f"{process.name} (pid {process.pid})", process.tail()))
    return report
