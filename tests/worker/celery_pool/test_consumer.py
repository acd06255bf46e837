"""What a pool hears in its queue, and what it throws away."""

import base64
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from app import broker as queue
from app.broker import TRAINING
from app.database.session import Database
from app.services.operations import counters
from app.services.operations.counters import DROPPED
from app.tables import Worker
from tests.servers import Redis, eventually
from tests.service import Service, bell
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from worker.celery_pool.consumer import PoolConsumer, parse
from worker.process.os_process import place
from worker.process.worker_process import WorkerProcess
from worker.supervision.pool import pipe
from worker.supervision.supervisor import Supervisor


@pytest.fixture
def message() -> dict[str, Any]:
    """A bell, with more than Celery has to know of it."""
    return {
        "body": base64.b64encode(b'[[], {}, {"callbacks": null}]').decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": TRAINING, "id": "a", "expires": None, "retries": 0},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "b",
            "delivery_info": {"exchange": "", "routing_key": TRAINING},
            "priority": 0,
        },
    }


def test_a_bell_is_heard_and_nothing_that_it_brings(message: dict[str, Any]) -> None:
    message["headers"]["expires"] = "yesterday"
    message["headers"]["timelimit"] = {"no": "pair"}
    message["body"] = base64.b64encode(b'[[], {}, {"callbacks": [{"task": "x"}]}]').decode()
    found = json.loads(parse(json.dumps(message).encode()) or b"")
    assert found["headers"] == {"task": TRAINING, "id": "a"}
    assert json.loads(base64.b64decode(found["body"])) == [[], {}, {}]
    assert found["properties"].keys() == {"body_encoding", "delivery_tag", "delivery_info"}


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"{", b"null", b"[]", b"{}", b'"text"', b"\xff\xfe", b"[" * 100_000, b"1e999", b"\0"],
    ids=lambda rubbish: repr(rubbish[:10]),
)
def test_what_is_no_message_is_not_heard(rubbish: bytes) -> None:
    assert parse(rubbish) is None


def changed(message: dict[str, Any], path: str, value: Any) -> bytes:
    *folders, name = path.split("/")
    place = message
    for folder in folders:
        place = place[folder]
    place[name] = value
    return json.dumps(message).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("headers", None),
        ("headers/task", "no.such.task"),
        ("headers/task", [TRAINING]),
        ("headers/id", 7),
        ("content-type", "application/x-python-serialize"),
        ("content-encoding", "no-such-code"),
        ("properties", []),
        ("properties/delivery_tag", None),
        ("properties/delivery_info", "here"),
        ("properties/body_encoding", "no-such-code"),
        ("body", 1),
        ("body", "!!!!"),
        ("body", base64.b64encode(b"[[], {}").decode()),
        ("body", base64.b64encode(b"[" * 100_000).decode()),
        ("body", base64.b64encode(b'[["an argument"], {}, {}]').decode()),
        ("body", base64.b64encode(b'{"args": []}').decode()),
    ],
)
def test_a_message_that_no_child_could_take_is_not_heard(
    message: dict[str, Any], path: str, value: Any
) -> None:
    assert parse(json.dumps(message).encode()) is not None
    assert parse(changed(message, path, value)) is None


def test_what_the_service_sends_is_heard(api: Service) -> None:
    assert parse(bell(api)) is not None


def test_a_pipe_between_a_pool_and_its_supervisor_keeps_nobody_waiting() -> None:
    reading, writing = pipe()
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    os.write(writing, b"." * (1 << 24))  # as much of it as there is room for
    with pytest.raises(BlockingIOError):
        os.write(writing, b".")
    for end in (reading, writing):
        os.close(end)


def test_a_broker_that_was_away_is_found_again_within_a_second(broker: Redis) -> None:
    broker.process.kill()
    listener = PoolConsumer.__new__(PoolConsumer)  # what a whole one needs is a whole worker
    with ThreadPoolExecutor(1) as pool, queue.producer().connection_for_read() as connection:
        there = pool.submit(listener.ensure_connected, connection)
        time.sleep(2.5)  # Celery's own would have tried after 2 s, and would after 6 again
        assert not there.done()
        broker.start()
        there.result(timeout=1.5)
        assert connection.connected


def test_what_is_thrown_away_is_counted_and_ends_no_process(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(sweep_seconds=0.5)
    before = {process.pid for process in service.tree()}
    ring = bell(service)
    with service.redis.client() as broker:
        for rubbish in (b"{}", b"null", ring[:-20], b"\xff", ring):
            broker.lpush(TRAINING, rubbish)
        eventually(lambda: broker.llen(TRAINING) == 0, "all of it is taken away", within=30)
    name = f'fallline_{DROPPED.name}_total{{pool="training"}} 4.0'
    eventually(lambda: name in service.http.get("/metrics").text, "four are counted", within=30)
    assert {process.pid for process in service.tree()} == before


def test_the_one_bell_of_a_batch_wakes_every_process(own_service: Callable[..., Service]) -> None:
    service = own_service(worker_processes=2, sweep_seconds=1000)
    long = {**ONE_WEIGHT, "iterations": 10_000_000, "fuse": "never"}
    answer = service.http.post("/v1/jobs/batch", json={"jobs": [long, long]})
    ids = {job["id"] for job in answer.raise_for_status().json()["data"]}

    def running() -> set[str]:
        rows = service.http.get("/v1/jobs", params={"state": "running"}).json()["data"]
        return {row["id"] for row in rows}

    eventually(lambda: running() == ids, "both are trained at once", within=10)


def test_what_is_thrown_away_is_counted_once_however_often_the_database_is_asked(
    child: WorkerProcess, tmp_path: Path
) -> None:
    supervisor = Supervisor(child.settings)
    there, training = supervisor.database, supervisor.pools[0]
    training.pipe = pipe()
    os.write(training.pipe[1], b"...")
    supervisor.database = Database(f"sqlite:///{tmp_path}/no/such/folder")
    with pytest.raises(SQLAlchemyError):
        supervisor.count_dropped()
    supervisor.database = there
    os.write(training.pipe[1], b".")
    for _ in range(3):
        supervisor.count_dropped()
    with there.session(write=False) as session:
        assert counters.read(session)[DROPPED.name, "training"] == 4
    for end in training.pipe:
        os.close(end)
    there.dispose()


def test_while_the_broker_is_away_no_consumer_is_thought_deaf(
    child: WorkerProcess, make_job: MakeJob, broker: Redis
) -> None:
    make_job()
    supervisor = Supervisor(child.settings)
    here = {"supervisor": supervisor.id, "place": place(), "pid": os.getpid(), "device": "cpu"}
    with child.database.session() as session:
        session.add(Worker(id=child.id, pool="training", **here))
    broker.process.kill()
    supervisor.watch()
    assert not supervisor.unheard_since
    broker.start()
    supervisor.watch()
    assert supervisor.unheard_since.keys() == {"training"}
    supervisor.database.dispose()
