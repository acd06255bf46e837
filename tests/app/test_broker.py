"""The doorbell, on a real broker."""

import base64
import json

import pytest

from app import broker as queue
from tests.servers import Redis
from tests.service import free_port, ring_at


def test_a_bell_lies_in_its_queue_and_names_no_job(broker: Redis) -> None:
    assert queue.pending(queue.TRAINING) == 0
    assert queue.notify(queue.TRAINING)
    assert (queue.pending(queue.TRAINING), queue.pending(queue.INTERACTIVE)) == (1, 0)
    with broker.client() as client:
        message = json.loads(client.lpop(queue.TRAINING))
    assert message["headers"]["task"] == queue.TRAINING
    assert message["content-type"] == "application/json"
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([], {})


def test_every_ring_is_one_bell(broker: Redis) -> None:
    for _ in range(3):
        queue.notify(queue.INTERACTIVE)
    assert queue.pending(queue.INTERACTIVE) == 3


def test_an_unanswered_question_about_bells_is_not_zero(broker: Redis) -> None:
    broker.process.kill()
    assert queue.pending(queue.TRAINING) is None
    assert not queue.notify(queue.TRAINING)
    broker.start()
    assert queue.pending(queue.TRAINING) == 0
    assert queue.notify(queue.TRAINING)
    assert queue.pending(queue.TRAINING) == 1


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "redis+socket:///nowhere/{}"])
def test_a_bell_that_cannot_be_rung_is_no_error(
    url: str, monkeypatch: pytest.MonkeyPatch, broker: Redis
) -> None:
    ring_at(url.format(free_port()), monkeypatch)
    assert queue.pending(queue.TRAINING) is None
    assert not queue.notify(queue.TRAINING)


def test_a_broker_that_takes_nothing_more_is_no_error(broker: Redis) -> None:
    with broker.client() as client:
        client.config_set("maxmemory", 1)
        assert not queue.notify(queue.TRAINING)
        client.config_set("maxmemory", 0)
    assert queue.notify(queue.TRAINING)


def test_what_bears_the_name_of_a_queue_and_is_none_makes_room_for_it(broker: Redis) -> None:
    with broker.client() as client:
        client.set(queue.TRAINING, "no list")
    assert not queue.notify(queue.TRAINING)
    assert queue.pending(queue.TRAINING) == 0
    assert queue.notify(queue.TRAINING)
    assert queue.pending(queue.TRAINING) == 1
