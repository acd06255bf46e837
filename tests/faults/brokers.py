"""Redis goes away, forgets, or holds what it should not. The database knows what there is to do."""

import os
import random
import time

import redis

from app.queue import TRAINING
from tests.faults.plan import fault
from tests.faults.world import World
from tests.servers import eventually
from tests.service import Service

DROPPED = "fallline_messages_dropped_total"


@fault("F3", "Redis killed and wiped, for 0, 20 and 60 s", "202s go on; dispatch within 30 s after")
def redis_wiped(world: World, draw: random.Random) -> str:
    took = []
    for away in (0, 20, 60):
        running = world.post()
        at = world.moment(draw, running)
        broker = world.service.redis
        broker.process.kill()
        waiting = world.post()
        time.sleep(away)
        assert world.ends(running).attempts == at.attempts, "a running job noticed"
        broker.start()
        back = time.monotonic()
        world.reaches(waiting, 1, within=90)
        took.append(time.monotonic() - back)
        world.ends(waiting)
    assert max(took) <= 30, took
    return "dispatched after " + ", ".join(f"{seconds:.1f}" for seconds in took) + " s"


@fault("F4", "connections reset again and again, FLUSHALL", "the consumer is back within 60 s")
def connections_reset(world: World, draw: random.Random) -> str:
    job_id = world.post()
    world.moment(draw, job_id)
    with world.service.redis.client() as broker:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            broker.client_kill_filter(_type="normal", skipme=True)
            broker.client_kill_filter(_type="pubsub", skipme=True)
            broker.flushall()
            time.sleep(0.2)
    began = time.monotonic()
    waiting = world.post()
    world.reaches(waiting, 1, within=120)
    took = time.monotonic() - began
    assert took <= 60, took
    return f"dispatched after {took:.1f} s"


@fault("F7", "a message delivered 100 times, to 4 workers", "one run", workers=4, children=1)
def delivered_often(world: World, draw: random.Random) -> str:
    job_id = world.post()
    bell = rung(world.service)
    with world.service.redis.client() as broker:
        for _ in range(100):
            broker.lpush(TRAINING, bell)
        assert world.ends(job_id).attempts == 1
        eventually(lambda: broker.llen(TRAINING) == 0, "every bell is heard", within=30)
    assert world.row(job_id).fence == 1
    return "1 attempt, fence 1"


@fault("F20", "garbage in the broker", "dropped, counted; the worker lives")
def garbage(world: World, draw: random.Random) -> str:
    bell = rung(world.service)
    before = {process.pid for process in world.service.tree()}
    rubbish = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        os.urandom(200),
        bell[:-20],
        b"[" * 100_000,
        bell.replace(TRAINING.encode(), b"no.such.task"),
        bell.replace(b"W1td", b"!!!!"),
    ]
    began = time.monotonic()
    with world.service.redis.client() as broker:
        for word in draw.sample(rubbish, len(rubbish)):
            broker.lpush(TRAINING, word)
        job_id = world.post()
        world.reaches(job_id, 1)
        took = time.monotonic() - began
        eventually(lambda: broker.llen(TRAINING) == 0, "all of it is taken away", within=30)
    assert {process.pid for process in world.service.tree()} == before, "a process was lost"
    eventually(lambda: world.metric(DROPPED) >= len(rubbish), "all of it is counted", within=20)
    dropped = world.metric(DROPPED)
    return f"{dropped} dropped; the next job began after {took:.1f} s in the same processes"


def rung(service: Service) -> bytes:
    """The message that a bell is, as the service itself sends it."""
    from celery import Celery

    sender = Celery(broker=service.broker_url, set_as_current=False)
    sender.send_task(TRAINING, queue="a-queue-nobody-hears")
    with sender.connection_for_write() as connection:
        client: redis.Redis = connection.default_channel.client
        message = client.rpop("a-queue-nobody-hears")
    assert isinstance(message, bytes)
    return message.replace(b"a-queue-nobody-hears", TRAINING.encode())
