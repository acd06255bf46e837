"""The client on a line to the real service that breaks."""

import asyncio

import pytest

from fallline import ApiError, AsyncClient, Client, FalllineError
from fallline.http.retries import Retries
from fallline.types import Event, Points
from tests.fallline.cutting import cutting
from tests.fallline.test_client import SPEC
from tests.service import Service


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retries, "bound", lambda *_: 0.05)


def losses(events: list[Event]) -> Points:
    found = Points()
    for event in events:
        found.extend(event.points.get("loss", Points()))
    return found


def test_a_stream_that_is_cut_again_and_again_has_no_gap_and_no_duplicate(service: Service) -> None:
    with Client(service.url, service.key) as client:
        job = client.jobs.create({**SPEC, "iterations": 3000})
        limits = [3_000, 10, 0, 30_000, 700, 20_000, 5]
        with cutting(service.url, limits) as line, Client(line.url, service.key) as cut:
            events = list(cut.jobs.at(job.id).events())
        assert line.cuts == 7
        whole = job.points()
    assert losses(events) == whole
    assert whole.iterations == list(range(3000))
    numbers = [event.sequence for event in events if event.sequence is not None]
    assert numbers == sorted(set(numbers))
    assert [event.data["state"] for event in events if event.type == "state"] == [
        "queued",
        "running",
        "succeeded",
    ]
    assert events[-1].type == "end"


def test_the_same_is_awaited(service: Service) -> None:
    async def listen() -> tuple[list[Event], Points]:
        async with AsyncClient(service.url, service.key) as client:
            job = await client.jobs.create({**SPEC, "iterations": 3000})
            with cutting(service.url, [2_000, 0, 9_000]) as line:
                async with AsyncClient(line.url, service.key) as cut:
                    events = [event async for event in cut.jobs.at(job.id).events()]
            assert line.cuts == 3
            return events, await job.points()

    events, whole = asyncio.run(listen())
    assert losses(events) == whole


def test_a_post_whose_answer_is_lost_makes_one_job(service: Service) -> None:
    name = "posted-once"
    with cutting(service.url, [0, 50]) as line, Client(line.url, service.key) as cut:
        job = cut.jobs.create({**SPEC, "name": name})
        assert line.cuts == 2
        assert [found.id for found in cut.jobs.all(name=name)] == [job.id]
        cut.jobs.create(SPEC, idempotency_key="the same")
        with pytest.raises(ApiError, match="idempotency_key_reused"):
            cut.jobs.create({**SPEC, "iterations": 7}, idempotency_key="the same")


def test_a_key_whose_secret_is_lost_is_named(service: Service) -> None:
    with cutting(service.url, [0]) as line, Client(line.url, service.key) as cut:
        with pytest.raises(FalllineError, match="secret was lost") as lost:
            cut.keys.create(["read"])
        newest = cut.keys.list(limit=1).data[0]
        assert newest.id in str(lost.value)
        cut.keys.revoke(newest.id)
