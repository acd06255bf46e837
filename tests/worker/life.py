"""A job's life against a small model (``model``): whatever comes, in whatever order.

The functions of the service and of the worker are the real ones, on a real database; only the
numbers come from an engine of one line, which depends on everything before as training does.
"""

import shutil
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
)
from sqlalchemy import delete, select, update

from app.database.base import db_now
from app.database.session import Database
from app.errors import Conflict
from app.ids import new_id
from app.services.forks import fork
from app.services.jobs import interventions, submission, transitions
from app.storage import Storage
from app.tables import HELD, TERMINAL, Checkpoint, Event, Job, JobState, MetricChunk, Tenant, Worker
from tests.worker.hands import PLANS, Attempt
from tests.worker.model import LIMIT, Model, spoken
from training.validation.check import Limits
from worker.execution.failures import fail
from worker.maintenance.sweeper import Sweeper
from worker.process.worker_process import WorkerProcess
from worker.queue.claim import claim_next
from worker.queue.fence import LeaseLost, PlanChanged, write
from worker.supervision.supervisor import remove_dead

SOME = st.integers(0, 3)
BLOCKS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=3)
"""How many iterations each, and whether the state is saved."""
THEN = st.sampled_from(["write", "write", "write twice", "wait", "drain", "drain twice"])
TROUBLE = st.sampled_from(["death", "death", "silence", "late", "long ago"])


class Life(RuleBasedStateMachine):
    """``attempts``: workers with a job, or with one that they have lost. There is always something
    of everything, the newest first, so that a number names one."""

    def __init__(self, child: WorkerProcess) -> None:
        super().__init__()
        self.child = child
        self.rows: Database = child.database
        self.storage: Storage = child.storage
        self.models: dict[str, Model] = {}
        self.silent, self.fences, self.ended = set[str](), dict[str, int](), dict[str, Any]()
        with self.rows.session() as session:  # those of the sequence before
            session.execute(delete(Job))
            session.execute(delete(Worker))
            self.tenant = session.scalars(select(Tenant.id).limit(1)).one()
        shutil.rmtree(self.storage.root, ignore_errors=True)
        self.workers = [self.worker(), self.worker()]
        self.attempts = list[Attempt]()
        self.create(0)
        self.bell(0)

    def job(self, number: int) -> str:
        return [*self.models][-1 - number % len(self.models)]

    def attempt(self, number: int) -> Attempt:
        return self.attempts[-1 - number % len(self.attempts)]

    # -- who is there

    def worker(self) -> WorkerProcess:
        child = replace(self.child, id=new_id("wrk"))
        row = {"supervisor": "sup", "place": "here", "pid": 1, "pool": "training", "device": "cpu"}
        with self.rows.session() as session:
            session.add(Worker(id=child.id, **row))
        return child

    @rule(number=SOME, what=TROUBLE, then=st.sampled_from(["nothing", "blind sweep", "sweep"]))
    def trouble(self, number: int, what: str, then: str) -> None:
        """For who trains a job, or trained it once; a sweep may follow at once."""
        self.befalls(self.attempt(number), what)
        if then != "nothing":
            self.put_right(blind=then == "blind sweep")

    @rule(number=SOME, what=TROUBLE, blocks=BLOCKS, then=THEN)
    def taken_over(self, number: int, what: str, blocks: list[tuple[int, bool]], then: str) -> None:
        """Somebody else has the job, and who had it goes on."""
        attempt = self.attempt(number)
        self.befalls(attempt, what)
        self.put_right(blind=False)
        self.bell(number)
        self.train(attempt, blocks, then)

    @rule(number=SOME, steps=st.integers(1, 6), blocks=BLOCKS, then=THEN)
    def taken_up(self, number: int, steps: int, blocks: list[tuple[int, bool]], then: str) -> None:
        """Its state is saved, more is recorded, its worker dies, and somebody else goes on."""
        attempt = self.attempt(number)
        self.train(attempt, [(steps, True), (2, False)], "write")
        self.worker_dies(attempt.child)
        self.heard(number, blocks, then)

    def befalls(self, attempt: Attempt, what: str) -> None:
        if what == "death":
            self.worker_dies(attempt.child)
        elif what == "silence":
            self.nobody_looks_after(attempt.child)
        else:
            self.lease_ends(attempt.job.id, long_ago=what == "long ago")

    def worker_dies(self, dead: WorkerProcess) -> None:
        """Its supervisor sees it, takes back what it had, and there is a new one."""
        with self.rows.session() as session:
            row = session.get(Worker, dead.id)
            if row is None:
                return
            remove_dead(session, row)
        for model in self.models.values():
            if model.held and model.worker == dead.id:
                model.lost()
        self.workers = [worker for worker in self.workers if worker.id != dead.id]
        self.workers.append(self.worker())

    def nobody_looks_after(self, worker: WorkerProcess) -> None:
        """Its supervisor is dead, or frozen with it."""
        self.silent.add(worker.id)
        with self.rows.session() as session:
            own = update(Worker).where(Worker.id == worker.id)
            session.execute(own.values(seen_at=db_now(-30)))

    def lease_ends(self, job_id: str, *, long_ago: bool) -> None:
        """Time passes."""
        model = self.models[job_id]
        if not model.held:
            return
        model.lease = "long ago" if long_ago else "late"
        ago = 2 * self.child.settings.lease_seconds if long_ago else 1.0
        with self.rows.session() as session:
            own = update(Job).where(Job.id == job_id)
            session.execute(own.values(lease_expires_at=db_now(-ago)))

    @rule(blind=st.booleans())
    def sweep(self, blind: bool) -> None:
        """At any time."""
        self.put_right(blind=blind)

    def put_right(self, *, blind: bool) -> None:
        """What nobody is left to put right. After an outage nothing expires at once."""
        sweeper = Sweeper(self.child.settings, self.rows)
        if not blind:
            sweeper.answering_since = time.monotonic() - 1000
        sweeper.sweep()
        with self.rows.session(write=False) as session:
            there = set(session.scalars(select(Worker.id))) - self.silent
        for model in self.models.values():
            alone = model.worker not in there
            expired = model.lease == "long ago" or (model.lease == "late" and alone)
            if expired and not blind:
                model.lost()

    # -- what clients ask

    @rule(priority=st.integers(0, 2))
    def create(self, priority: int) -> None:
        """Few, so that much happens to each."""
        if sum(not model.over for model in self.models.values()) == 2:
            return
        with self.rows.session(self.tenant) as session:
            job_id = submission.create(session, PLANS[priority], "req_test").id
        self.models[job_id] = Model(priority)

    @rule(number=SOME, verb=st.sampled_from(["pause", "resume", "cancel"]))
    def ask(self, number: int, verb: str) -> None:
        job_id = self.job(number)
        model = self.models[job_id]
        if not model.can(verb):
            with pytest.raises(Conflict):
                self.told(job_id, verb)
            return
        self.told(job_id, verb)
        model.fence += verb == "cancel"
        model.take(verb)

    def told(self, job_id: str, verb: str) -> None:
        with self.rows.session(self.tenant) as session:
            getattr(transitions, verb)(session, job_id)

    @rule(
        number=SOME,
        lr=st.none() | st.sampled_from([0.5, 0.25]),
        iterations=st.none() | st.integers(1, LIMIT + 8),
    )
    def change(self, number: int, lr: float | None, iterations: int | None) -> None:
        job_id = self.job(number)
        asked = {"lr": lr, "iterations": iterations}
        asked = {name: value for name, value in asked.items() if value is not None}
        if not asked:
            return
        model = self.models[job_id]
        if model.over or (iterations or model.iterations) < model.iteration:
            with pytest.raises(Conflict):
                self.patched(job_id, asked)
            return
        self.patched(job_id, asked)
        model.changed(lr=lr, iterations=iterations)

    def patched(self, job_id: str, asked: dict[str, Any]) -> None:
        with self.rows.session(self.tenant) as session:
            interventions.change(session, job_id, asked, Limits())

    @rule(number=SOME)
    def retry(self, number: int) -> None:
        """A new job that goes on where a failed or cancelled one was saved last."""
        job_id = self.job(number)
        parent = self.models[job_id]
        if parent.state not in (JobState.FAILED, JobState.CANCELLED):
            with pytest.raises(Conflict):
                self.retried(job_id)
            return
        begins = max(parent.saved, default=0)
        heir = replace(Model(parent.priority), iteration=begins, saved=set(parent.saved))
        heir.iterations, heir.changes = parent.iterations, parent.changes
        heir.rates = list(parent.rates)
        made = self.retried(job_id)
        self.models[made] = heir

    def retried(self, job_id: str) -> str:
        def look() -> Any:
            return self.rows.session(self.tenant, write=False)

        heir = fork.retry(look, self.storage, job_id, "req_test")
        with (
            fork.cleanup_unless_saved(self.storage, heir),
            self.rows.session(self.tenant) as session,
        ):
            return fork.save(session, heir).id

    # -- what workers do

    @rule(number=SOME, blocks=BLOCKS, then=THEN)
    def heard(self, number: int, blocks: list[tuple[int, bool]], then: str) -> None:
        """Whoever hears a bell claims a job, if one waits, and trains."""
        before = len(self.attempts)
        self.bell(number)
        if len(self.attempts) > before:
            self.train(self.attempts[-1], blocks, then)

    def bell(self, number: int) -> None:
        """However often it rings: a job is claimed once."""
        worker = self.workers[number % len(self.workers)]
        if all(model.over for model in self.models.values()):
            self.create(0)
        waiting = {i: m for i, m in self.models.items() if m.state == JobState.QUEUED}
        claim = claim_next(worker)
        if claim is None:
            assert not waiting
            return
        assert claim.job.id == min(waiting, key=lambda i: (-waiting[i].priority, i))
        self.models[claim.job.id].claimed(worker.id)
        self.attempts.append(Attempt(worker, claim.job))

    def valid(self, attempt: Attempt) -> bool:
        model = self.models[attempt.job.id]
        return model.held and model.fence == attempt.job.fence

    @rule(number=SOME, blocks=BLOCKS, then=THEN)
    def goes_on(self, number: int, blocks: list[tuple[int, bool]], then: str) -> None:
        """Who has a job, or thinks so, trains."""
        self.train(self.attempt(number), blocks, then)

    def train(self, attempt: Attempt, blocks: list[tuple[int, bool]], then: str) -> None:
        """Blocks are computed and written; the last of them may wait in the spool."""
        for left, (steps, save) in reversed([*enumerate(reversed(blocks))]):
            if then.startswith("drain") and not left:
                attempt.child.draining.set()
            self.compute(attempt, steps, save=save)
            attempt.child.draining.clear()
            if left or then != "wait":
                self.write(attempt, twice=then.endswith("twice"))

    def compute(self, attempt: Attempt, steps: int, *, save: bool) -> None:
        """A block more, which is not written yet."""
        if attempt.recorder is None:
            try:
                attempt.begin()
            except LeaseLost:
                assert not self.valid(attempt)
                return
            model = self.models[attempt.job.id]
            if self.valid(attempt) and model.saved:
                model.log.append(f"resumed at {max(model.saved)}")
                model.lease = "valid"
        if not attempt.over:
            told_to_rest = attempt.told_to_rest
            attempt.compute(steps, save=save)
            assert told_to_rest <= attempt.over

    @rule(number=SOME, what=st.sampled_from(["write", "beat", "beat", "fail"]))
    def late(self, number: int, what: str) -> None:
        """What a worker comes to do, whatever has happened meanwhile."""
        attempt = self.attempt(number)
        {"write": self.write, "beat": self.beat, "fail": self.fails}[what](attempt)

    def write(self, attempt: Attempt, *, twice: bool = False) -> None:
        """A block is written by who holds the job, and by nobody else."""
        if not attempt.recorder or not attempt.spool:
            return
        model, prepared = self.models[attempt.job.id], attempt.spool[0]
        if not self.valid(attempt):
            with pytest.raises(LeaseLost):
                attempt.write(twice=False)
            return
        if attempt.job.interventions != model.changes:
            with pytest.raises(PlanChanged):
                attempt.write(twice=False)
            return
        if twice and prepared.end:
            with pytest.raises(LeaseLost):
                attempt.write(twice=True)
        else:
            attempt.write(twice=twice)
        model.wrote(prepared.changes["attempt_iteration"], save=prepared.checkpoint is not None)
        if prepared.end:
            model.attempts -= prepared.end.arrow == "release"
            model.take(prepared.end.arrow)
        attempt.told_to_rest = model.state == JobState.PAUSING

    def beat(self, attempt: Attempt) -> None:
        """The lease is renewed, if it is still ours."""

        def renewed() -> None:
            with self.rows.session() as session:
                write(session, attempt.job, lease_expires_at=db_now(20))

        if not self.valid(attempt):
            with pytest.raises(LeaseLost):
                renewed()
            return
        renewed()
        self.models[attempt.job.id].lease = "valid"

    def fails(self, attempt: Attempt) -> None:
        """It cannot go on, and says so, if the job is still its own."""
        fail(attempt.child, attempt.job, "internal", "internal", "it broke", RuntimeError())
        if self.valid(attempt):
            self.models[attempt.job.id].take("fail")

    # -- what always holds

    @invariant()
    def the_rows_say_what_the_model_says(self) -> None:
        with self.rows.session(write=False) as session:
            found = {job.id: job for job in session.scalars(select(Job))}
        assert found.keys() == self.models.keys()
        for job_id, job in found.items():
            model = self.models[job_id]
            for name in ("state", "fence", "attempts", "iteration", "iterations", "deaths"):
                assert getattr(job, name) == getattr(model, name), name
            assert job.interventions == model.changes
            assert (job.lease_expires_at is None) == (job.state not in HELD)
            assert job.fence >= self.fences.get(job_id, 0)
            self.fences[job_id] = job.fence
            if job.state in TERMINAL:
                end = (job.state, job.finished_at, job.fence, job.iteration)
                assert self.ended.setdefault(job_id, end) == end
            assert (job.finished_at is None) == (job_id not in self.ended)

    @invariant()
    def every_loss_is_there_once(self) -> None:
        chunk = (MetricChunk.job_id, MetricChunk.first_iteration, MetricChunk.values)
        with self.rows.session(write=False) as session:
            found = {key: (first, values) for key, first, values in session.execute(select(*chunk))}
        for job_id, model in self.models.items():
            first, values = found.get(job_id, (0, np.empty(0, np.float32)))
            assert (first, values.tobytes()) == (0, model.losses().tobytes())

    @invariant()
    def every_checkpoint_is_whole(self) -> None:
        row = (Checkpoint.job_id, Checkpoint.iteration, Checkpoint.location, Checkpoint.sha256)
        saved: dict[str, set[int]] = {}
        with self.rows.session(write=False) as session:
            for job_id, iteration, location, sha256 in session.execute(select(*row)):
                saved.setdefault(job_id, set()).add(iteration)
                assert self.storage.whole(location, sha256)
        assert saved == {i: model.saved for i, model in self.models.items() if model.saved}

    @invariant()
    def the_log_tells_all_of_it_in_order(self) -> None:
        told: dict[str, list[str]] = {}
        with self.rows.session(write=False) as session:
            events = session.scalars(select(Event).order_by(Event.sequence)).all()
        for event in events:
            log, last = told.setdefault(event.job_id, []), event.data.get("state") in TERMINAL
            assert event.sequence == len(log) + 1 + event.iteration + last
            log.append(spoken(event.type, event.data))
        assert told == {job_id: model.log for job_id, model in self.models.items()}
