"""Alive, ready, and what happens while a part is away."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.app.conftest import Connect
from tests.app.talk import TINY, finished, problem
from tests.databases import Sqlite
from tests.servers import Postgres
from tests.service import Service, free_port, running


class Unreliable(NamedTuple):
    """A database that goes away and comes back when it is told to."""

    url: str
    leave: Callable[[], object]
    come_back: Callable[[], object]


@contextmanager
def file() -> Iterator[Unreliable]:
    with Sqlite() as kind:
        there, elsewhere = kind.folder, Path(f"{kind.folder}-away")
        url = kind.create("unreliable")
        yield Unreliable(url, lambda: there.rename(elsewhere), lambda: elsewhere.rename(there))


@contextmanager
def server() -> Iterator[Unreliable]:
    postgres = Postgres()
    try:
        url = postgres.create("unreliable")
        yield Unreliable(url, postgres.process.kill, postgres.start)
    finally:
        postgres.close()


def test_alive_and_ready_need_no_key(service: Service, connect: Connect) -> None:
    stranger = connect(service)
    alive, ready = stranger.get("/healthz"), stranger.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"database": "ok", "broker": "ok", "worker": "ok"},
    }


def test_without_a_worker_it_is_not_ready_and_says_what_is_missing(api: Service) -> None:
    answer = api.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not_ready",
        "checks": {
            "database": "ok",
            "broker": "ok",
            "worker": "no training and no interactive worker is ready",
        },
    }
    assert api.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("kind", [file, server], ids=["sqlite", "postgresql"])
def test_while_the_database_is_away_nothing_is_accepted_and_afterwards_all_is_well(
    kind: Callable[[], AbstractContextManager[Unreliable]],
) -> None:
    with kind() as database, running(database.url, workers=0) as service:
        http = service.http
        database.leave()
        refused = [
            http.post("/v1/jobs", json=TINY),
            http.get("/v1/jobs"),
            http.get("/v1/jobs/job_x/metrics"),
            http.get("/v1/jobs/job_x/iterations/0"),
            http.post("/v1/models/m/predict", json={"inputs": [[1.0]]}),
        ]
        for answer in refused:
            problem(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert http.get("/healthz").status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {
            "database": "does not answer",
            "broker": "ok",
            "worker": "unknown",
        }
        database.come_back()
        assert http.get("/v1/jobs").json()["data"] == []
        assert http.post("/v1/jobs", json=TINY).status_code == 202


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:{port}", "redis+socket:///nowhere"])
def test_while_the_broker_is_away_jobs_are_accepted_and_run_all_the_same(
    broker: str, service: Service, another_api: Connect
) -> None:
    deaf = another_api(broker_url=broker.format(port=free_port()))
    answer = deaf.post("/v1/jobs", json=TINY)
    assert answer.status_code == 202
    ready = deaf.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"] == {
        "database": "ok",
        "broker": "does not answer",
        "worker": "ok",
    }
    # No bell was rung; the workers' sweeper sees that work waits.
    assert finished(service, answer.json()["id"])["state"] == "succeeded"
