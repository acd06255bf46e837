"""Workers that are thought dead and are not."""

import os
import random
import signal
import time

import psutil

from tests.faults.plan import fault
from tests.faults.world import World
from tests.servers import eventually


@fault(
    "F8",
    "a worker frozen past its lease, then continued",
    "no write accepted, it stops within a heartbeat; refused writes are counted",
    workers=2,
    children=1,
)
def frozen(world: World, draw: random.Random) -> str:
    job_id = world.post()
    at = world.moment(draw, job_id)
    zombie = world.supervisor_of(world.pid_of(at.worker))
    pid = world.pid_of(at.worker)
    tree = [zombie.pid, *(p.pid for p in psutil.Process(zombie.pid).children(recursive=True))]
    for number in tree:
        os.kill(number, signal.SIGSTOP)
    took = world.goes_on(job_id, at, within=90)
    refused = world.metric("fallline_refused_writes_total")
    for number in tree:
        os.kill(number, signal.SIGCONT)
    woken = time.monotonic()
    eventually(
        lambda: world.metric("fallline_refused_writes_total") > refused,
        "a write of the zombie is refused",
        within=30,
    )
    stopped = time.monotonic() - woken
    row = world.ends(job_id)
    assert row.attempts == at.attempts + 1, row
    assert row.worker != at.worker or not psutil.pid_exists(pid)
    return f"taken over after {took:.1f} s, the zombie refused {stopped:.1f} s after it woke"
