"""One attempt at one job, or at several that one process trains side by side.

Each is claimed, recorded and ended by itself; what they share is the computation, and the
transaction of a block.
"""

import time
from collections.abc import Sequence

import numpy as np
import structlog

from app.database.session import DATABASE_UNAVAILABLE
from app.tables import Job
from training.engine.blocks import Block
from training.engine.loop import Loop
from training.tensors.data import Data
from training.validation.fusion_rules import max_group_size
from worker.execution.failures import fail_job
from worker.execution.group_writer import Entry, GroupWriter
from worker.execution.member import Member
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import GROUP_TOO_LARGE, AttemptEnd
from worker.queue.claim import Claim, can_be_grouped, claim_compatible
from worker.queue.fence import LeaseLost, PlanChanged

log = structlog.get_logger()

ADMISSION_SECONDS = 0.2
"""Time between two looks for other jobs that can join."""
NO_LOSSES = np.empty(0, dtype=np.float32)


class Attempt:
    """A job and those that join it, from their claims to their ends.

    ``capacity``: how many jobs there may be at once; one where jobs may not be grouped.
    """

    def __init__(self, child: WorkerProcess, claim: Claim, claimed_at: float) -> None:
        self.child = child
        self.claim = claim
        self.claimed_at = claimed_at
        self.members: list[Member] = []
        self.leaving: list[Member] = []
        self.data: Data | None = None
        self.capacity = 1
        self.admitted_at = 0.0

    @property
    def leader(self) -> Job:
        """The job that was claimed first: what may join it is compatible with it."""
        return self.claim.job

    def train(self) -> None:
        """Until every member has ended, or was lost."""
        with GroupWriter(self.child) as writer:
            try:
                self.admit([self.claim], self.claimed_at)
                if self.members and can_be_grouped(self.leader):
                    self.capacity = max_group_size(self.members[0].plan, self.child.device)
                self.loop(writer)
            finally:
                for member in (*self.members, *self.leaving):
                    member.heartbeat.close()

    def loop(self, writer: GroupWriter) -> None:
        """Block after block; who is there changes between two of them."""
        loop = Loop()
        while self.members:
            try:
                blocks = loop.blocks([member.progress for member in self.members])
            except DATABASE_UNAVAILABLE:
                raise
            except Exception as error:  # noqa: BLE001
                self.split(writer, error)
            else:
                self.record(writer, blocks)
            if not self.members:
                writer.flush()
            self.remove_finished(writer)
            self.admit_waiting()

    def record(self, writer: GroupWriter, blocks: Sequence[Block]) -> None:
        """Hands the blocks over to the writer; who ends with one leaves."""
        entries, staying, size = [], [], len(self.members)
        for member, block in zip(self.members, blocks, strict=True):
            member.heartbeat.progress()
            end = member.reason_to_stop(block)
            entries.append(Entry(member, block, member.saves(block, end), end, size))
            if end is None and block.outcome is None:
                staying.append(member)
                continue
            self.leaving.append(member)
            at = block.checkpoint.iteration
            if end is None:
                member.log.info("job ended", iteration=at)
            else:
                member.log.info("attempt ends", reason=end.reason, iteration=at)
        writer.put(entries)
        self.members = staying
        if any(block.first == 0 for block in blocks):
            writer.flush()  # the first losses are seen before the next are computed

    def remove_finished(self, writer: GroupWriter) -> None:
        """Lets go of members that have ended, and of those that may not go on."""
        for member in (*self.members, *self.leaving):
            if member.heartbeat.lost.is_set() and member.failure is None:
                member.failure = LeaseLost("the lease is held by somebody else")
            if isinstance(member.failure, PlanChanged):
                self.replan(writer, member)
            if member.failure is not None:
                self.members = [m for m in self.members if m is not member]
                self.answer(member)
        self.leaving = [m for m in self.leaving if not m.heartbeat.ended.is_set()]

    def replan(self, writer: GroupWriter, member: Member) -> None:
        """The plan of a job was changed: it goes on from what is durable, if it still is ours."""
        writer.flush()  # nothing that was computed under the old plan still waits
        try:
            member.replan()
        except LeaseLost as error:
            member.failure = error
            return
        self.leaving = [m for m in self.leaving if m is not member]
        if member not in self.members:
            self.members.append(member)

    def answer(self, member: Member) -> None:
        """Ends a job for what went wrong with it alone."""
        member.heartbeat.close()
        assert member.failure is not None
        with structlog.contextvars.bound_contextvars(**member.names):
            fail_job(self.child, member.job, member.failure)

    def admit_waiting(self) -> None:
        """Now and then, whether other jobs can join."""
        space, now = self.capacity - len(self.members), time.monotonic()
        if (
            not self.members
            or space <= 0
            or now - self.admitted_at < ADMISSION_SECONDS
            or self.child.draining.is_set()
        ):
            return
        self.admitted_at = now
        self.admit(claim_compatible(self.child, self.leader, len(self.members), space), now)

    def admit(self, claims: Sequence[Claim], claimed_at: float) -> None:
        """Lets jobs in; one that cannot begin ends by itself."""
        for claim in claims:
            member = Member(self.child, claim.job, claimed_at, claim.segments)
            member.heartbeat.thread.start()
            try:
                member.resume(self.data)
            except DATABASE_UNAVAILABLE:
                member.heartbeat.close()
                raise
            except Exception as error:  # noqa: BLE001
                member.failure = error
                self.answer(member)
            else:
                self.data = member.data
                self.members.append(member)

    def split(self, writer: GroupWriter, error: Exception) -> None:
        """So many cannot be computed together, for want of memory or for what is wrong with one of
        them: half of them wait again, without an attempt used, until it is known of which."""
        if len(self.members) == 1:
            self.members[0].failure = error
            return
        self.capacity = len(self.members) // 2
        log.warning("a group is halved", members=len(self.members), exc_info=error)
        released, self.members = self.members[self.capacity :], self.members[: self.capacity]
        self.leaving += released
        writer.put([entry_without_losses(member, GROUP_TOO_LARGE) for member in released])


def entry_without_losses(member: Member, end: AttemptEnd) -> Entry:
    """Ends an attempt where the job stands."""
    at = member.progress.checkpoint
    block = Block(at.iteration, NO_LOSSES, (), at, "eager")
    return Entry(member, block, member.saves(block, end), end)
