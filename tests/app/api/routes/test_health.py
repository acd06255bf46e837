"""Alive, ready, and what happens while a part is away."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.app.conftest import Connect
from tests.app.talk import TINY, finished, problem
from tests.databases import Database, Postgresql
from tests.service import Service, free_port, running


class Unreliable:
    """A database that goes away and comes back when it is told to: its folder does."""

    def __init__(self, kind: Database, url: str, door: Path) -> None:
        self.kind = kind
        self.folder = kind.server.folder if isinstance(kind, Postgresql) else kind.folder
        self.door = door
        self.url = url.replace(str(self.folder), str(door))
        self.come_back()

    def come_back(self) -> None:
        self.door.symlink_to(self.folder)

    def leave(self) -> None:
        self.door.unlink()
        if isinstance(self.kind, Postgresql):
            with self.kind.server.connect() as connection:
                name = make_url(self.url).database
                end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(end, [name])


@pytest.fixture
def unreliable(database: Database) -> Iterator[Unreliable]:
    # Short, for PostgreSQL's socket lies behind it.
    with tempfile.TemporaryDirectory(prefix="fl-door-") as folder, database.empty() as url:
        yield Unreliable(database, url, Path(folder) / "door")


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


def test_while_the_database_is_away_nothing_is_accepted_and_afterwards_all_is_well(
    unreliable: Unreliable,
) -> None:
    with running(unreliable.url, workers=0) as service:
        http = service.http
        unreliable.leave()
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
        unreliable.come_back()
        assert http.get("/v1/jobs").json()["data"] == []
        assert http.post("/v1/jobs", json=TINY).status_code == 202


def test_while_the_broker_is_away_jobs_are_accepted_and_run_all_the_same(
    service: Service, another_api: Connect
) -> None:
    deaf = another_api(broker_url=f"redis://127.0.0.1:{free_port()}")
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
