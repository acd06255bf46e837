"""Jobs that one process trains side by side.

Each is claimed, recorded and ended by itself; what they share is the computation, and the
transaction of a block.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import structlog

from app.db import AWAY
from app.services import counters
from app.tables import Job
from training import company
from training.blocks import Block, Checkpoint
from training.data import Data
from training.group import Group
from training.job import Training
from training.numerics import Numerics
from training.run import group_of, longer
from worker.attempt import answer_for, compare_numerics, newest, reason_to_stop, seen_again
from worker.child import Child
from worker.claims import claim_company
from worker.course import arrays_of, legs_of
from worker.ends import GIVEN_BACK, End
from worker.fence import Intervened, Lost
from worker.lease import Heartbeat
from worker.recorder import Entry, Recorder
from worker.sink import Spool
from worker.transaction import Prepared, Proved, prove, record

log = structlog.get_logger()

LOOK = 0.2
"""Seconds between two looks for others that might come along."""
NOTHING = np.empty(0, dtype=np.float32)
HALVED = End("release", "its group was too large", GIVEN_BACK.values)


class Member:
    """One job of a group, where it stands, and what records it.

    ``gone``: why it takes no further part, as the writer found out.
    """

    def __init__(self, child: Child, job: Job, claimed_at: float) -> None:
        self.child = child
        self.job = job
        self.gone: Exception | None = None
        self.named = {
            "job_id": job.id,
            "request_id": job.request_id,
            "tenant_id": job.tenant_id,
            "fence": job.fence,
        }
        self.log = log.bind(**self.named)
        self.heartbeat = Heartbeat(child, job, claimed_at, job.running_seconds)
        self.saved_at = time.monotonic()

    def enter(self, data: Data | None) -> None:
        """Reads where the job stands; ``data``: those of the others, which are its own too."""
        child, job = self.child, self.job
        self.legs = legs_of(child, job)
        numerics = Numerics.on(child.device, job.spec["precision"])
        plan = self.legs[-1].plan
        self.data = data or child.shelf.load(plan, numerics, arrays_of(child))
        start = newest(child, job, numerics)
        if job.iteration:
            compare_numerics(child, job, numerics)
        resumed_at = start.iteration if start else 0
        self.log.info("job begins", resumed_at=resumed_at, attempt=job.attempts)
        self.begin(start, numerics)

    def begin(self, start: Checkpoint | None, numerics: Numerics) -> None:
        """Goes on from a state, on the course that the job now has."""
        self.training = Training(self.legs[-1].plan, self.data, numerics)
        self.recorder = Recorder(
            self.child, self.job, self.legs, self.data, start, self.heartbeat.running_seconds
        )
        self.now = start or self.training.beginning()

    def turn(self) -> None:
        """The course was changed: on from what is durable."""
        self.job, self.gone = seen_again(self.child, self.job), None
        self.legs = legs_of(self.child, self.job)
        self.log.info("job takes another course", iteration=self.job.iteration)
        self.begin(self.recorder.durable, self.training.numerics)

    def entry(self, block: Block, end: End | None, size: int) -> Entry:
        """What is to be recorded of a block that was computed in a group of this size."""
        self.heartbeat.progress()
        self.now = block.checkpoint
        every = self.training.plan.spec.checkpoint_every_seconds
        due = time.monotonic() - self.saved_at >= every
        save = (due or end is not None) and block.outcome is None
        if save:
            self.saved_at = time.monotonic()
        return Entry(block, save, end, size)


class Pending(NamedTuple):
    """An entry that waits to be recorded."""

    member: Member
    entry: Entry


class Ready(NamedTuple):
    """A member's part of the next transaction."""

    member: Member
    prepared: Prepared


class Writer(Spool[Sequence[Pending]]):
    """Records the blocks of all members in one transaction. A member that may not write any more
    takes nothing from the others: it is marked, and its part left out."""

    def __init__(self, child: Child) -> None:
        super().__init__()
        self.child = child

    def insist(self, item: Sequence[Pending]) -> None:
        """Until it is recorded, or it is known of each member why not."""
        ready = [part for pending in item if (part := self.prepared(pending)) is not None]
        self.until_answered(
            lambda: self.commit(ready),
            lambda: [part.member.heartbeat for part in ready if part.member.gone is None],
        )

    def prepared(self, pending: Pending) -> Ready | None:
        """A member's part; ``None``: it has none."""
        member, entry = pending
        if member.gone is not None:
            return None
        try:
            member.heartbeat.wait()
            return Ready(member, member.recorder.prepare(entry))
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 -- answered for by the one who trains
            member.gone = error
            return None

    def commit(self, ready: Sequence[Ready]) -> None:
        """All parts in one transaction; should that fail, each in its own, so that nobody suffers
        for another."""
        ready = [part for part in ready if part.member.gone is None]
        try:
            self.transact(ready)
        except AWAY:
            raise
        except Exception as error:
            if len(ready) == 1:
                ready[0].member.gone = error
                return
            log.exception("the transaction of a group failed: one job at a time")
            for part in ready:
                self.commit([part])

    def transact(self, ready: Sequence[Ready]) -> None:
        """One transaction."""
        proved: list[tuple[Ready, str]] = []
        refused: list[tuple[Ready, Exception]] = []
        with self.child.database.session() as session:
            for part in ready:
                try:
                    proved.append((part, prove(session, part.prepared)))
                except (Lost, Intervened) as error:
                    refused.append((part, error))
            lost = sum(isinstance(error, Lost) for _, error in refused)
            counters.add(session, {(counters.REFUSED, "job"): lost})
            record(session, self.child, [Proved(part.prepared, s) for part, s in proved])
        for part, why in refused:
            part.member.recorder.drop(part.prepared)
            part.member.gone = why
        for part, state in proved:
            part.member.recorder.committed(part.prepared, state)
            if part.prepared.end is not None:
                part.member.heartbeat.close()


class Together:
    """A job and those that go along with it, from their claims to their ends."""

    def __init__(self, child: Child, lead: Job, claimed_at: float) -> None:
        self.child = child
        self.lead = lead
        self.claimed_at = claimed_at
        self.members: list[Member] = []
        self.leaving: list[Member] = []
        self.data: Data | None = None
        self.room = 1
        self.looked_at = 0.0

    def train(self) -> None:
        """Until every member has ended, or was lost."""
        with Writer(self.child) as writer:
            try:
                self.admit([self.lead], self.claimed_at)
                if self.members:
                    self.room = company.room(self.members[0].training.plan, self.child.device)
                    self.go_on(writer)
            finally:
                for member in (*self.members, *self.leaving):
                    member.heartbeat.close()

    def go_on(self, writer: Writer) -> None:
        """Block after block; who is there changes between two of them."""
        group, seconds = self.group(), 0.0
        while self.members:
            try:
                blocks = group.blocks([member.now for member in self.members], seconds)
            except AWAY:
                raise
            except Exception as error:  # noqa: BLE001
                self.halve(writer, error)
            else:
                self.record(writer, blocks)
                group.hasten(blocks)
                seconds = longer(seconds)
            if not self.members:
                writer.flush()
            self.sort_out(writer)
            if self.look():
                seconds = 0.0  # what is new is seen at once
            trained = [member.training for member in self.members]
            if self.members and trained != group.jobs:
                group = self.group()

    def group(self) -> Group:
        """What trains those that are there."""
        return group_of([member.training for member in self.members])

    def record(self, writer: Writer, blocks: Sequence[Block]) -> None:
        """Hands the blocks over to the writer; who ends with one leaves."""
        pending, stay, size = [], [], len(self.members)
        for member, block in zip(self.members, blocks, strict=True):
            end = None if block.outcome else reason_to_stop(self.child, member.recorder, block)
            pending.append(Pending(member, member.entry(block, end, size)))
            if end is None and block.outcome is None:
                stay.append(member)
            else:
                self.leaving.append(member)
                event = "attempt ends" if end else "job ended"
                member.log.info(event, reason=end and end.reason, iteration=member.now.iteration)
        writer.put(pending)
        self.members = stay
        if any(block.first == 0 for block in blocks):
            writer.flush()  # the first losses are seen before the next are computed

    def sort_out(self, writer: Writer) -> None:
        """Takes leave of those that have ended, and of those that are gone."""
        for member in (*self.members, *self.leaving):
            if member.heartbeat.lost.is_set() and member.gone is None:
                member.gone = Lost("the lease is held by somebody else")
            if isinstance(member.gone, Intervened):
                self.turn(writer, member)
            if member.gone is not None:
                self.members = [m for m in self.members if m is not member]
                self.answer(member)
        self.leaving = [m for m in self.leaving if not m.heartbeat.ended.is_set()]

    def turn(self, writer: Writer, member: Member) -> None:
        """The course of a job was changed: it goes on from what is durable, if it still is here."""
        writer.flush()  # nothing that was computed on the old course still waits
        try:
            member.turn()
        except Lost as error:
            member.gone = error
            return
        self.leaving = [m for m in self.leaving if m is not member]
        if member not in self.members:
            self.members.append(member)

    def answer(self, member: Member) -> None:
        """Ends a job for what went wrong with it alone."""
        member.heartbeat.close()
        assert member.gone is not None
        with structlog.contextvars.bound_contextvars(**member.named):
            answer_for(self.child, member.job, member.gone)

    def look(self) -> bool:
        """Now and then, whether others may come along."""
        space, now = self.room - len(self.members), time.monotonic()
        if (
            not self.members
            or space <= 0
            or now - self.looked_at < LOOK
            or self.child.draining.is_set()
        ):
            return False
        self.looked_at = now
        jobs = claim_company(self.child, self.lead, len(self.members), space)
        return bool(jobs) and self.admit(jobs, now)

    def admit(self, jobs: Sequence[Job], claimed_at: float) -> bool:
        """Lets jobs in; one that cannot begin ends by itself. Whether there are more now."""
        count = len(self.members)
        for job in jobs:
            member = Member(self.child, job, claimed_at)
            member.heartbeat.thread.start()
            try:
                member.enter(self.data)
            except AWAY:
                member.heartbeat.close()
                raise
            except Exception as error:  # noqa: BLE001
                member.gone = error
                self.answer(member)
            else:
                self.data = member.data
                self.members.append(member)
        return len(self.members) > count

    def halve(self, writer: Writer, error: Exception) -> None:
        """So many cannot be computed together, for want of memory or for what is wrong with one of
        them: half of them wait again, without an attempt used, until it is known of which."""
        if len(self.members) == 1:
            self.members[0].gone = error
            return
        self.room = len(self.members) // 2
        log.warning("a group is halved", members=len(self.members), exc_info=error)
        given, self.members = self.members[self.room :], self.members[: self.room]
        self.leaving += given
        nothing = [Block(m.now.iteration, NOTHING, (), m.now, "eager") for m in given]
        writer.put(
            [
                Pending(member, member.entry(block, HALVED, self.room))
                for member, block in zip(given, nothing, strict=True)
            ]
        )
