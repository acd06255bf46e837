"""Redis goes away, forgets, or holds what it should not. The database knows what there is to do."""

import os
import random
import time

from app.broker import TRAINING
from tests.faults.plan import fault
from tests.faults.world import World
from tests.servers import eventually
from tests.service import bell

DROPPED = "fallline_messages_dropped_total"


@fault("F3", "Redis killed and wiped, for 0, 20 and 60 s", "202s go on; dispatch within 30 s after")
def redis_wiped(world: World, draw: random.Random) -> str:
    took = [dispatched_after(world, draw, away) for away in (0, 20, 60)]
    drained = stopped_without_broker(world, draw)
    world.in_time(30, *took)
    world.in_time(10, drained)
    said = ", ".join(f"{seconds:.1f}" for seconds in took)
    return (
        f"dispatched after {said} s; a worker told to stop meanwhile was gone after {drained:.1f} s"
    )


def dispatched_after(world: World, draw: random.Random, away: float) -> float:
    """Redis is away for so many seconds; how long its return takes to be of use."""
    running = world.post()
    at = world.moment(draw, running)
    broker = world.service.redis
    broker.process.kill()
    died = time.monotonic()
    if away:
        assert world.ends(running).attempts == at.attempts, "a running job noticed"
        time.sleep(2)  # whoever has just finished looks for more, without a bell
    waiting = world.post()
    time.sleep(max(0.0, died + away - time.monotonic()))
    broker.start()
    back = time.monotonic()
    world.reaches(waiting, 1, within=90)
    took = time.monotonic() - back
    assert world.ends(running).attempts == at.attempts, "a running job noticed"
    world.ends(waiting)
    return took


def stopped_without_broker(world: World, draw: random.Random) -> float:
    """Seconds that a worker takes to give its job back and end while Redis is away."""
    job_id = world.post()
    at = world.moment(draw, job_id)
    world.service.redis.process.kill()
    began = time.monotonic()
    assert world.service.stop(world.supervisor_of(world.pid_of(at.worker))) == 0
    took = time.monotonic() - began
    given_back = world.row(job_id)
    assert (given_back.state, given_back.attempts) == ("queued", 0), given_back
    world.service.redis.start()
    world.service.start_worker()
    world.goes_on(job_id, at, within=120)
    return took


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
    world.in_time(60, took)
    return f"dispatched after {took:.1f} s"


@fault("F7", "a message delivered 100 times, to 4 workers", "one run", workers=4, children=1)
def delivered_often(world: World, draw: random.Random) -> str:
    job_id = world.post()
    ring = bell(world.service)
    with world.service.redis.client() as broker:
        for _ in range(100):
            broker.lpush(TRAINING, ring)
        assert world.ends(job_id).attempts == 1
        eventually(lambda: broker.llen(TRAINING) == 0, "every bell is heard", within=30)
    assert world.row(job_id).fence == 1
    return "1 attempt, fence 1"


@fault("F20", "garbage in the broker", "dropped, counted; the worker lives")
def garbage(world: World, draw: random.Random) -> str:
    ring = bell(world.service)
    before = {process.pid for process in world.service.tree()}
    rubbish = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        os.urandom(200),
        ring[:-20],
        b"[" * 100_000,
        ring.replace(TRAINING.encode(), b"no.such.task"),
        ring.replace(b"W1td", b"!!!!"),
    ]
    began = time.monotonic()
    with world.service.redis.client() as broker:
        for word in draw.sample(rubbish, len(rubbish)):
            broker.lpush(TRAINING, word)
        job_id = world.post()
        world.reaches(job_id, 1)
        took = time.monotonic() - began
        eventually(lambda: broker.llen(TRAINING) == 0, "all of it is taken away", within=30)
        world.ends(job_id)
        broker.set(TRAINING, "no list at all")
        began = time.monotonic()
        world.reaches(world.post(), 1)
        mended = time.monotonic() - began
    assert {process.pid for process in world.service.tree()} == before, "a process was lost"
    eventually(lambda: world.metric(DROPPED) >= len(rubbish), "all of it is counted", within=20)
    dropped = world.metric(DROPPED)
    return (
        f"{dropped} dropped, the next job began after {took:.1f} s in the same processes; "
        f"after {mended:.1f} s where the queue was no list"
    )
