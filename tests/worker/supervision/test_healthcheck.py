"""The health check of a worker's container."""

import subprocess
import sys

from sqlalchemy import update

from app.database.base import db_now
from app.database.session import Database
from app.ids import new_id
from app.services.operations.workers import SILENCE_SECONDS
from app.tables import Worker
from tests.databases import ROOT
from tests.service import Service
from worker.process.os_process import place
from worker.supervision.healthcheck import POOLS, missing


def asked(service: Service, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.supervision.healthcheck"],
        cwd=ROOT,
        env=service.env | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_that_is_warm_is_alive(service: Service) -> None:
    answer = asked(service)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_without_a_worker_it_says_what_lacks(api: Service) -> None:
    answer = asked(api)
    assert (answer.returncode, answer.stderr) == (
        1,
        "no interactive and no training worker is ready\n",
    )


def test_without_a_database_it_says_that(api: Service) -> None:
    answer = asked(api, FALLLINE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert answer.returncode == 1
    assert answer.stderr == "the database does not answer: OperationalError\n"


def test_a_worker_counts_where_it_runs_and_as_long_as_it_is_seen(rows: Database) -> None:
    def worker(pool: str) -> Worker:
        here = {"supervisor": "sup", "place": place(), "pid": 1, "device": "cpu"}
        return Worker(id=new_id("wrk"), pool=pool, **here)

    with rows.session() as session:
        session.add(worker("training"))
    assert missing(rows) == {"interactive"}
    with rows.session() as session:
        session.add(worker("interactive"))
    assert missing(rows) == set()
    for change in (
        {"seen_at": db_now(-SILENCE_SECONDS - 1)},
        {"seen_at": db_now(), "place": "elsewhere"},
    ):
        with rows.session() as session:
            session.execute(update(Worker).values(change))
        assert missing(rows) == POOLS
