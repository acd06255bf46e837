"""Jobs that are cancelled, at whatever moment: one end, at once."""

import os
import random
import subprocess
import sys
import time

from tests.databases import ROOT
from tests.faults.plan import fault
from tests.faults.stillness import still
from tests.faults.world import World, tree_of
from tests.servers import eventually

SEQUENCES = 10_000
"""Of a job's life, against its model."""
RACES = 10
FOREVER = 100_000
"""Iterations of a job that has no time to end."""


@fault(
    "F19",
    f"cancel racing the claim, the last iteration, a dead or frozen worker; {SEQUENCES} lives",
    "one terminal state, within 5 s",
    workers=2,
    children=1,
)
def cancelled(world: World, draw: random.Random) -> str:
    took = [alive(world, draw), frozen(world, draw), dead(world, draw)]
    took += [cancel(world, world.post(iterations=FOREVER)) for _ in range(RACES)]
    finished = [at_its_end(world, draw) for _ in range(RACES)]
    world.in_time(5, *took)
    seconds = lives(draw)
    return (
        f"ended after {max(took):.2f} s at most; {sum(finished)} of {RACES} were faster than their "
        f"cancel; {SEQUENCES} lives in {seconds:.0f} s"
    )


def cancel(world: World, job_id: str) -> float:
    """Seconds from the request until the job has ended as it has to."""
    began = time.monotonic()
    answer = world.ledger.note(world.service.http.post(f"/v1/jobs/{job_id}/cancel"))
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled"), answer.text
    assert world.row(job_id).state == "cancelled"
    return time.monotonic() - began


def alive(world: World, draw: random.Random) -> float:
    """Its worker is free for another job too."""
    job_id = world.post()
    before = world.moment(draw, job_id)
    began = time.monotonic()
    cancel(world, job_id)
    following = [world.post(iterations=FOREVER) for _ in range(2)]  # there are two workers
    for other in following:
        world.reaches(other, 1)
    took = time.monotonic() - began
    assert world.row(job_id).fence == before.fence + 1
    return max(took, *(cancel(world, other) for other in following))


def frozen(world: World, draw: random.Random) -> float:
    """What it had computed is refused when it wakes."""
    job_id = world.post()
    pid = world.pid_of(world.moment(draw, job_id).worker)
    with still(tree_of(world.supervisor_of(pid).pid)):
        took = cancel(world, job_id)
        recorded = world.row(job_id)
    world.ends(world.post(iterations=100))
    world.ends(world.post(iterations=100))
    assert world.row(job_id) == recorded
    return took


def dead(world: World, draw: random.Random) -> float:
    """Nobody is left to be told."""
    job_id = world.post()
    worker = world.supervisor_of(world.pid_of(world.moment(draw, job_id).worker))
    world.kill_worker(worker)
    took = cancel(world, job_id)
    world.service.start_worker()
    return took


def at_its_end(world: World, draw: random.Random) -> bool:
    """At about its last iteration; whether the job was faster, and then the cancel is refused."""
    job_id = world.post(iterations=200)
    near = draw.randrange(1, 200)
    eventually(lambda: world.row(job_id).iteration >= near, f"iteration {near}", within=60)
    answer = world.ledger.note(world.service.http.post(f"/v1/jobs/{job_id}/cancel"))
    state = world.row(job_id).state
    assert (answer.status_code, state) in ((202, "cancelled"), (409, "succeeded")), answer.text
    return state == "succeeded"


def lives(draw: random.Random) -> float:
    """A process a core, each with its part of the sequences; seconds that all of them took."""
    count, began = os.cpu_count() or 1, time.monotonic()
    command = [
        sys.executable,
        "-m",
        "tests.faults.lives",
        "--sequences",
        str(-(-SEQUENCES // count)),
    ]
    seeds = [str(draw.randrange(10**6)) for _ in range(count)]
    running = [subprocess.Popen([*command, "--seed", seed], cwd=ROOT) for seed in seeds]
    codes = [process.wait() for process in running]
    assert not any(codes), f"a life went wrong, with the seeds {seeds}"
    return time.monotonic() - began
