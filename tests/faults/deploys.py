"""Workers that are told to stop, while they work."""

import random
import time

from tests.faults.plan import fault
from tests.faults.world import World

RESTARTS = 50


@fault(
    "F15",
    f"SIGTERM under load, {RESTARTS} times",
    "each gone within 10 s; no attempt used, no job failed",
    workers=2,
    children=1,
)
def rolling_restarts(world: World, draw: random.Random) -> str:
    longest, jobs = 0.0, [world.post(iterations=20_000, checkpoint_every_seconds=30)]
    for _ in range(RESTARTS):
        job_id = jobs[-1]
        row = world.row(job_id)
        if row.state == "succeeded":
            jobs.append(world.post(iterations=20_000, checkpoint_every_seconds=30))
            job_id = jobs[-1]
        at = world.reaches(job_id, world.row(job_id).done + draw.randrange(1, 400))
        worker = world.supervisor_of(world.pid_of(at.worker))
        began = time.monotonic()
        assert world.service.stop(worker) == 0
        longest = max(longest, time.monotonic() - began)
        assert longest <= 10, longest
        given_back = world.row(job_id)
        assert given_back.attempts <= 1, "an attempt was used"
        world.service.start_worker()
        world.goes_on(job_id, at, within=60)
    for job_id in jobs:
        assert world.ends(job_id, within=300).attempts == 1
    return f"gone after {longest:.1f} s at most; {len(jobs)} jobs, 1 attempt each"
