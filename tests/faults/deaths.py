"""Processes that die or stand still."""

import os
import random
import signal
import time

import psutil

from tests.faults.plan import fault
from tests.faults.stillness import freeze, freeze_inside
from tests.faults.world import World
from tests.servers import eventually


@fault("F1", "kill -9 of the training child", "resumed within 10 s")
def child_killed(world: World, draw: random.Random) -> str:
    took = [child_dies(world, draw, world.post()) for _ in range(3)]
    world.in_time(10, *took)
    return f"resumed after {max(took):.1f} s at most"


def child_dies(world: World, draw: random.Random, job_id: str) -> float:
    """Kills the child that trains a job, at some moment; seconds until the job goes on."""
    at = world.moment(draw, job_id)
    os.kill(world.pid_of(at.worker), signal.SIGKILL)
    took = world.goes_on(job_id, at, within=60)
    world.ends(job_id)
    return took


@fault(
    "F2",
    "kill -9 of a whole worker",
    "another claims within 30 s; no orphan",
    workers=2,
    children=1,
)
def worker_killed(world: World, draw: random.Random) -> str:
    near = worker_dies(world, draw)
    world.start_warm(**world.elsewhere())
    far = worker_dies(world, draw)
    world.in_time(30, near, far)
    return f"resumed after {near:.1f} s beside it, {far:.1f} s on another machine"


def worker_dies(world: World, draw: random.Random) -> float:
    """Kills a worker that has a job, at some moment; seconds until another one has it."""
    job_id = world.post()
    at = world.moment(draw, job_id)
    world.kill_worker(world.supervisor_of(world.pid_of(at.worker)))
    took = world.goes_on(job_id, at, within=60)
    world.ends(job_id)
    return took


@fault(
    "F14",
    "training hangs, also within a transaction",
    "killed when its lease has run out, then another attempt",
    stall_seconds=10,
)
def child_hangs(world: World, draw: random.Random) -> str:
    took = [hangs(world, draw, transaction) for transaction in (False, True)]
    return "resumed after " + ", ".join(f"{seconds:.1f}" for seconds in took) + " s"


def hangs(world: World, draw: random.Random, transaction: bool) -> float:
    """A child stands still."""
    job_id = world.post()
    at = world.moment(draw, job_id)
    pid = world.pid_of(at.worker)
    if transaction:
        freeze_inside(world, job_id, pid)
    else:
        freeze([pid])
    took = world.goes_on(job_id, at, within=120)
    eventually(lambda: not psutil.pid_exists(pid), "what hung is killed", within=30)
    world.ends(job_id)
    return took


@fault(
    "F22", "everything killed at once", "recovered within 60 s of its start", workers=2, children=1
)
def everything_killed(world: World, draw: random.Random) -> str:
    jobs = [world.post(), world.post(), world.post()]
    at = world.moment(draw, jobs[0])
    service = world.service
    for process in service.tree():
        os.kill(process.pid, signal.SIGKILL)
    for process in list(service.processes):
        process.wait(within=5)
    service.processes.clear()
    service.redis.process.kill()
    eventually(lambda: not service.tree(), "all of it is dead", within=5)
    began = time.monotonic()
    service.redis.start()
    service.start_api()
    service.start_worker()
    service.start_worker()
    world.goes_on(jobs[0], at, within=120)
    took = time.monotonic() - began
    world.in_time(60, took)
    return f"a job went on {took:.1f} s after the start"
