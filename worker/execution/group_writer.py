"""Records the blocks of all members of an attempt, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.database.session import DATABASE_UNAVAILABLE
from app.services.operations import counters
from training.engine.blocks import Block
from worker.execution.member import Member
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import AttemptEnd
from worker.queue.fence import LeaseLost, PlanChanged
from worker.recording.background_writer import BackgroundWriter
from worker.recording.transaction import Prepared, check_fence, record

log = structlog.get_logger()


@dataclass(frozen=True)
class Entry:
    """A member's block to record; ``save`` its state, and ``end`` the attempt at the job with it.
    ``group``: how many jobs were computed together."""

    member: Member
    block: Block
    save: bool = False
    end: AttemptEnd | None = None
    group: int = 1


Part = tuple[Member, Prepared]


class GroupWriter(BackgroundWriter[Sequence[Entry]]):
    """A member that may not write any more takes nothing from the others: its ``failure`` is set,
    and its part is left out.

    Files are written only under a lease that certainly is ours. The transaction needs no such
    proof, it begins with the fence.
    """

    def __init__(self, child: WorkerProcess) -> None:
        super().__init__()
        self.child = child

    def write(self, item: Sequence[Entry]) -> None:
        parts = [part for entry in item if (part := self.prepare(entry)) is not None]
        self.retry_until_committed(
            lambda: self.commit(parts),
            lambda: [member.heartbeat for member, _ in parts if member.failure is None],
        )

    def prepare(self, entry: Entry) -> Part | None:
        member = entry.member
        if member.failure is not None:
            return None
        try:
            member.heartbeat.wait()
            prepared = member.recorder.prepare(
                entry.block, save=entry.save, end=entry.end, group=entry.group
            )
        except DATABASE_UNAVAILABLE:
            raise
        except Exception as error:  # noqa: BLE001 -- answered for by the attempt
            member.failure = error
            return None
        return member, prepared

    def commit(self, parts: Sequence[Part]) -> None:
        """All parts in one transaction; should that fail, each in its own, so that no job suffers
        for another."""
        parts = [(member, prepared) for member, prepared in parts if member.failure is None]
        try:
            self.transact(parts)
        except DATABASE_UNAVAILABLE:
            raise
        except Exception as error:
            if len(parts) == 1:
                parts[0][0].failure = error
                return
            log.exception("the transaction of a group failed: one job at a time")
            for part in parts:
                self.commit([part])

    def transact(self, parts: Sequence[Part]) -> None:
        """One transaction."""
        ours: list[tuple[Part, str]] = []
        refused: list[tuple[Part, Exception]] = []
        with self.child.database.session() as session:
            for part in parts:
                try:
                    ours.append((part, check_fence(session, part[1])))
                except (LeaseLost, PlanChanged) as error:
                    refused.append((part, error))
            lost = sum(isinstance(error, LeaseLost) for _, error in refused)
            counters.add(session, {(counters.REFUSED, "job"): lost})
            record(session, self.child, [(prepared, state) for (_, prepared), state in ours])
        for (member, prepared), why in refused:
            member.recorder.drop(prepared)
            member.failure = why
        for (member, prepared), state in ours:
            member.recorder.committed(prepared, state)
            if prepared.end is not None:
                member.heartbeat.close()
