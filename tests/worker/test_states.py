"""A job's life against a small model: whatever comes, in whatever order."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from app.db import Database
from app.errors import Conflict
from app.life import ARROWS, HELD, TERMINAL, JobState
from app.services import changes, control
from app.tables import Event, Intervention, Job
from tests.servers import Redis
from tests.worker.conftest import MakeJob
from training.check import Limits
from worker.child import Child
from worker.fence import Lost, write
from worker.job import claim_next
from worker.sweeper import requeue

LIMIT = 50
"""Iterations of a job."""


@dataclass
class Model:
    """What a job should be. ``died_at``: where a worker was lost last."""

    state: JobState = JobState.QUEUED
    fence: int = 0
    iteration: int = 0
    iterations: int = LIMIT
    died_at: int | None = None
    log: list[str] = field(default_factory=list)

    def take(self, arrow: str) -> bool:
        """Takes an arrow if there is one."""
        to = ARROWS[arrow].steps.get(self.state)
        if to is None:
            return False
        self.state = to
        self.log.append(to)
        return True


class Life(RuleBasedStateMachine):
    """``claims``: jobs as workers were given them, valid or not any more."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self, child: Child, make_job: MakeJob) -> None:
        super().__init__()
        self.child = child
        self.rows: Database = child.database
        self.make_job = make_job
        self.models: dict[str, Model] = {}
        with self.rows.session() as session:  # those of the example before
            session.execute(delete(Job))

    @rule(target=jobs, priority=st.integers(0, 2))
    def create(self, priority: int) -> str:
        job_id = self.make_job(priority=priority, iterations=LIMIT)
        self.models[job_id] = Model()
        return job_id

    @rule(target=claims)
    def claim(self) -> object:
        job = claim_next(self.child)
        waiting = [key for key, m in self.models.items() if m.state == JobState.QUEUED]
        if job is None:
            assert not waiting
            return multiple()
        model = self.models[job.id]
        assert model.take("claim")
        model.fence += 1
        assert job.fence == model.fence
        return job

    @rule(job_id=jobs, verb=st.sampled_from(["pause", "resume", "cancel"]))
    def ask(self, job_id: str, verb: str) -> None:
        model = self.models[job_id]
        legal = model.take(verb)
        model.fence += legal and verb == "cancel"
        attempt(legal, Conflict, lambda: self.told(job_id, verb))

    def told(self, job_id: str, verb: str) -> None:
        with self.rows.session() as session:
            getattr(control, verb)(session, job_id)

    @rule(claim=claims, steps=st.integers(1, 9))
    def work(self, claim: Job, steps: int) -> None:
        """A worker that was lost, or whose job was cancelled, changes nothing."""
        model = self.models[claim.id]
        held = model.state in HELD and model.fence == claim.fence
        done = min(model.iteration + steps, model.iterations)
        model.iteration = done if held else model.iteration
        attempt(held, Lost, lambda: self.wrote(claim, done))

    def wrote(self, claim: Job, done: int) -> None:
        with self.rows.session() as session:
            write(session, claim, iteration=done, attempt_iteration=done)

    @rule(claim=claims, arrow=st.sampled_from(["rest", "release", "succeed", "fail"]))
    def end(self, claim: Job, arrow: str) -> None:
        model = self.models[claim.id]
        if model.state not in HELD or model.fence != claim.fence:
            attempt(False, Lost, lambda: self.ended(claim, arrow))
            return
        legal = model.take(arrow)
        attempt(legal, Conflict, lambda: self.ended(claim, arrow))

    def ended(self, claim: Job, arrow: str) -> None:
        with self.rows.session() as session:
            write(session, claim, worker=self.child.id)
            error = {"error": {"category": "internal"}} if arrow == "fail" else {}
            control.move(session, claim.id, arrow, "for a reason", **error)

    @rule(job_id=jobs)
    def lose(self, job_id: str) -> None:
        """The sweeper takes back what is held, and nothing else."""
        model = self.models[job_id]
        with self.rows.session() as session:
            at = session.scalars(select(Job.attempt_iteration).where(Job.id == job_id)).one()
        with self.rows.session() as session:
            taken = requeue(session, Job.id == job_id, reason="its worker died")
        assert taken == (model.state in HELD)
        if taken:
            model.take("fail" if model.died_at == at else "lose")
            model.died_at = at
            model.fence += 1

    @rule(job_id=jobs, end=st.integers(1, 60))
    def change(self, job_id: str, end: int) -> None:
        model = self.models[job_id]
        legal = model.state not in TERMINAL and end >= model.iteration
        if legal:
            model.iterations = end
            model.log.append(f"{model.iteration} {end}")
        attempt(legal, Conflict, lambda: self.changed(job_id, end))

    def changed(self, job_id: str, end: int) -> None:
        with self.rows.session() as session:
            changes.change(session, job_id, {"iterations": end}, Limits())

    @invariant()
    def the_rows_say_what_the_model_says(self) -> None:
        with self.rows.session(write=False) as session:
            for job in session.scalars(select(Job).where(Job.id.in_(self.models))):
                model = self.models[job.id]
                assert (job.state, job.fence) == (model.state, model.fence)
                assert (job.iteration, job.iterations) == (model.iteration, model.iterations)
                assert (job.lease_expires_at is None) == (job.state not in HELD)
                assert (job.finished_at is None) == (job.state not in TERMINAL)
                query = select(Event).where(Event.job_id == job.id).order_by(Event.sequence)
                log = session.scalars(query).all()
                assert [told(event) for event in log] == model.log
                assert job.events == len(log)
                last = [event.data.get("state") in TERMINAL for event in log]
                assert not any(last[:-1])
                for number, event in enumerate(log, start=1):
                    ended = event.data.get("state") in TERMINAL
                    assert event.sequence == number + event.iteration + ended
                count = select(Intervention.number).where(Intervention.job_id == job.id)
                numbers = session.scalars(count.order_by(Intervention.number)).all()
                assert list(numbers) == list(range(1, job.interventions + 1))


def told(event: Event) -> str:
    if event.type == "intervention":
        return f"{event.data['iteration']} {event.data['changes']['iterations']}"
    return str(event.data["state"])


def attempt(legal: bool, refusal: type[Exception], act: Callable[[], None]) -> None:
    if legal:
        act()
        return
    with pytest.raises(refusal):
        act()


def test_whatever_happens_only_the_arrows_are_taken(
    child: Child, make_job: MakeJob, broker: Redis
) -> None:
    class Here(Life):
        def __init__(self) -> None:
            super().__init__(child, make_job)

    run_state_machine_as_test(Here, settings=settings(max_examples=20, stateful_step_count=25))
