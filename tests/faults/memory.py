"""A training process that gets no more memory."""

import os
import random
import resource
import signal

import psutil

from tests.faults.plan import fault
from tests.faults.world import World
from tests.servers import eventually

LARGE = {
    "name": "large",
    "model": [{"type": "linear", "out_features": 20_000}, {"type": "linear", "out_features": 10}],
    "optimizer": {"type": "adam", "lr": 0.003},
    "iterations": 20,
}
"""1.5 million parameters: some 50 MB with all that belongs to them."""
ROOM = 48 << 20


@fault(
    "F13",
    "no memory left in a training process (RLIMIT_AS), and two that are killed for it",
    "`out_of_memory…` after at most two tries; others are unaffected",
)
def out_of_memory(world: World, draw: random.Random) -> str:
    beside = world.post()
    at = world.moment(draw, beside)
    starved = idle_child(world, world.pid_of(at.worker))
    before = resource.prlimit(starved, resource.RLIMIT_AS)
    most = psutil.Process(starved).memory_info().vms + ROOM
    resource.prlimit(starved, resource.RLIMIT_AS, (most, before[1]))
    job_id = world.post(**LARGE)
    row = world.ends(job_id)
    error = world.error(job_id)
    assert row.state == "failed", row
    assert error["category"] == "resource", error
    assert error["code"].startswith("out_of_memory"), error
    tries = row.attempts
    assert tries <= 2, row
    if psutil.pid_exists(starved):
        resource.prlimit(starved, resource.RLIMIT_AS, before)
    same = world.ends(beside)
    assert (same.state, same.attempts) == ("succeeded", at.attempts), same
    again = world.ends(world.retry(job_id))
    assert again.state == "succeeded", again
    return f"{error['code']} after {tries}; {killed_twice(world)}"


def killed_twice(world: World) -> str:
    """What the system does when a machine has no memory left, at the same place both times."""
    job_id = world.post(**LARGE)
    for attempt in (1, 2):

        def claimed(number: int = attempt) -> str | None:
            row = world.row(job_id)
            return row.worker if row.state == "running" and row.attempts == number else None

        worker = eventually(claimed, f"attempt {attempt} of {job_id}", within=60)
        os.kill(world.pid_of(worker), signal.SIGKILL)
    row = world.ends(job_id)
    code = world.error(job_id)["code"]
    assert (row.state, row.attempts, code) == ("failed", 2, "out_of_memory_suspected"), row
    return f"{code} after {row.attempts} deaths"


def idle_child(world: World, busy: int) -> int:
    """The training process that has nothing to do."""
    (worker,) = [process for process in world.service.processes if process.name == "worker"]
    (pool,) = [
        process
        for process in psutil.Process(worker.pid).children()
        if busy in {child.pid for child in process.children(recursive=True)}
    ]
    (idle,) = [child.pid for child in pool.children() if child.pid != busy]
    return int(idle)
