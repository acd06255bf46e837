"""What is done with jobs: posted, forked, cancelled, retried, paused, changed and killed.

Where an interruption lands cannot be chosen. What follows from it can be compared all the same: a
job that was paused, killed or retried must equal the one that was not, and of a job that was
cancelled, or changed while it ran, that part is compared which does not depend on chance.
"""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.same_bits.jobs import BASES, GROUP, SPECIFICATIONS
from benchmarks.same_bits.parts import TABLE, TABLE_ID, Specification
from benchmarks.same_bits.recording import Record, read_record
from benchmarks.same_bits.service import Broken, Document, Refused, Service

TRIES = 20
SLOWER = 0.3
"""By this the learning rate is multiplied in forks and changes."""
LAST_IN_QUEUE = -1000
GROUP_ROW = f"group of {len(GROUP)}"


class Row(NamedTuple):
    """A row of the table: the jobs of a tree that it is about, and how they are compared.

    `same_as`: the row that it must equal within the new tree. `fixed_before`: the iteration from
    which on it depends on chance. `across`: whether it is compared with the old tree.
    """

    jobs: tuple[str, ...]
    same_as: str | None = None
    fixed_before: int | None = None
    across: bool = True


class Found(NamedTuple):
    """A row and what each of its jobs has left."""

    row: Row
    records: tuple[Record, ...]


class Stage:
    """A running service, and the rows that it has jobs for."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.rows: dict[str, Row] = {}

    def add(
        self,
        name: str,
        *jobs: str,
        same_as: str | None = None,
        fixed_before: int | None = None,
        across: bool = True,
    ) -> None:
        """Put a row into the table."""
        self.rows[name] = Row(jobs, same_as, fixed_before, across)

    def found(self) -> dict[str, Found]:
        """What every row has left, once its jobs have ended."""
        return {
            name: Found(row, tuple(read_record(self.service, job) for job in row.jobs))
            for name, row in self.rows.items()
        }


def play(service: Service) -> dict[str, Found]:
    """Train everything; returns the rows of the table, which are the same for every tree."""
    stage = Stage(service)
    bases = [Base(stage, name) for name in BASES]
    post_specifications(stage)
    for base in bases:
        base.fork()
    wait_for_all(stage)  # from here on a job has the workers for itself
    for base in bases:
        base.cancel()
        base.cancel_fork()
        base.pause()
        base.change()
        base.kill()
    kill_group(stage)
    return stage.found()


def post_specifications(stage: Stage) -> None:
    """Post the specifications, each by itself, and the group as a batch."""
    service = stage.service
    table = service.upload(TABLE, name="houses", target="price")
    for name, specification in SPECIFICATIONS.items():
        own = {"dataset": table} if specification["dataset"] == TABLE_ID else {}
        stage.add(name, service.create(specification | own))
    stage.add(GROUP_ROW, *service.create_batch(GROUP))


def wait_for_all(stage: Stage) -> None:
    """Return when every job has ended."""
    for row in stage.rows.values():
        for job in row.jobs:
            stage.service.ended(job)


class Base:
    """A job, and all that goes on from it or repeats it with an interruption."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage, self.service = stage, stage.service
        self.name = f"base {name}"
        self.specification: Specification = BASES[name]
        self.iterations: int = self.specification["iterations"]
        self.rate = SLOWER * self.specification["optimizer"]["lr"]
        self.job = self.again()
        stage.add(self.name, self.job)

    def again(self) -> str:
        """The job once more, from its beginning; returns its id."""
        return self.service.create(self.specification)

    def forked(self, iteration: int) -> str:
        """A fork that goes on with a lower rate; returns its id."""
        return self.service.fork(self.job, iteration, {"optimizer": {"lr": self.rate}})

    def fork(self) -> None:
        """Fork the job at its half, and the fork again; give another one its rate by a PATCH."""
        half, service = self.iterations // 2, self.service
        service.ended(self.job)
        rests = self.resting(half)
        changed = service.change(rests, lr=self.rate)
        if changed != half:
            raise Broken(f"{rests} rests at iteration {half}, but was changed at {changed}")
        service.act(rests, "resume")
        fork = self.forked(half)
        self.stage.add(f"{self.name}, forked", fork)
        self.stage.add(f"{self.name}, changed at rest", rests, same_as=f"{self.name}, forked")
        service.ended(fork)
        other = {"iterations": self.iterations + 400, "schedule": "constant", "batch_size": 24}
        self.stage.add(f"{self.name}, fork forked", service.fork(fork, half + half // 2, other))

    def resting(self, iteration: int) -> str:
        """A fork without changes that was paused before it went on; returns its id."""
        for _ in range(TRIES):
            fork = self.service.fork(self.job, iteration, {"priority": LAST_IN_QUEUE})
            if self.service.paused_at(fork) == iteration:
                return fork
        raise Broken(f"no fork of {self.name} could be paused before it went on")

    def cancel(self) -> None:
        """Cancel the job, and retry it."""
        cancelled = interrupted(self.service, self.again, self.iterations // 3, "cancel")
        self.add_cancelled(f"{self.name}, cancelled", cancelled, self.name)
        retry = self.service.retry(cancelled["id"])
        self.stage.add(f"{self.name}, cancelled and retried", retry, same_as=self.name)
        self.service.ended(retry)

    def cancel_fork(self) -> None:
        """Cancel a fork, and retry it: that must equal the fork that nobody cancelled.

        Where jobs are fused, trees are known that train such a retry on a wrong course, so there it
        is compared within the new tree only.
        """
        half, twin = self.iterations // 2, f"{self.name}, forked"
        cancelled = interrupted(self.service, lambda: self.forked(half), half + half // 3, "cancel")
        self.add_cancelled(f"{self.name}, fork cancelled", cancelled, twin)
        retry = self.service.retry(cancelled["id"])
        alone = cancelled["execution"]["class"] != "fused"
        name = f"{self.name}, fork cancelled and retried"
        self.stage.add(name, retry, same_as=twin, across=alone)
        self.service.ended(retry)

    def add_cancelled(self, name: str, job: Document, same_as: str) -> None:
        """A row of a job that was cancelled."""
        recorded = job["progress"]["iteration"]
        self.stage.add(name, job["id"], same_as=same_as, fixed_before=recorded)

    def pause(self) -> None:
        """Pause the job while it is at work, and let it go on."""
        job = interrupted(self.service, self.again, self.iterations // 3, "pause")["id"]
        self.service.act(job, "resume")
        self.stage.add(f"{self.name}, paused and resumed", job, same_as=self.name)
        self.service.ended(job)

    def change(self) -> None:
        """Lower the rate while the job is at work: as if it had been forked where that landed."""
        for _ in range(TRIES):
            job = self.again()
            self.service.passes(job, self.iterations // 3)
            changed = self.service.change(job, lr=self.rate)
            if changed is not None:
                break
        else:
            raise Broken(f"{self.name} has ended before it could be changed")
        self.service.ended(job)
        twin = f"{self.name}, forked where it was changed"
        self.stage.add(twin, self.forked(changed), fixed_before=changed)
        name = f"{self.name}, changed at work"
        self.stage.add(name, job, same_as=twin, fixed_before=changed)
        wait_for_all(self.stage)

    def kill(self) -> None:
        """Kill the process that trains the job."""
        (job,) = killed(self.service, lambda: [self.again()], self.iterations // 3)
        self.stage.add(f"{self.name}, process killed", job, same_as=self.name)


def kill_group(stage: Stage) -> None:
    """Kill a process that trains a part of the group."""
    jobs = killed(stage.service, lambda: stage.service.create_batch(GROUP), 100)
    stage.add(f"{GROUP_ROW}, process killed", *jobs, same_as=GROUP_ROW)


def interrupted(service: Service, make: Callable[[], str], iteration: int, verb: str) -> Document:
    """Make jobs until one is told to pause or cancel past an iteration, before its end."""
    for _ in range(TRIES):
        job_id = make()
        service.passes(job_id, iteration)
        try:
            service.act(job_id, verb)
        except Refused as refused:
            if not refused.conflict:
                raise
        job = service.until(job_id, "paused")
        if job["state"] in ("paused", "cancelled"):
            return job
    raise Broken(f"no job could be told to {verb} before it had ended")


def killed(service: Service, make: Callable[[], list[str]], iteration: int) -> list[str]:
    """Make jobs until one of them has lost its process past an iteration; returns them, ended."""
    for _ in range(TRIES):
        jobs = make()
        service.passes(jobs[0], iteration)
        service.kill_busiest()
        if any(service.ended(job)["attempts"] > 1 for job in jobs):
            return jobs
    raise Broken("no job has lost its process before it had ended")
