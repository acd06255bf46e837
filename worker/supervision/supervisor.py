"""``python -m worker``: a small process without torch that keeps two pools of workers alive.

It starts Celery, watches over the children, sweeps, restarts a consumer that no longer hears, and
drains on SIGTERM.
"""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from types import FrameType

import structlog
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import broker
from app.config import Settings
from app.database.base import db_now
from app.database.session import Database
from app.ids import new_id
from app.services.operations import counters
from app.tables import HELD, Job, JobState, Task, TaskState, Worker
from worker.maintenance.sweeper import Sweeper
from worker.process.os_process import alive, place
from worker.queue.fence import held
from worker.queue.requeue import expired, requeue, requeue_tasks, waits
from worker.supervision.pool import Pool
from worker.supervision.sqlite_lock import WriteLock

log = structlog.get_logger()

TICK_SECONDS = 0.5
"""Seconds between looks at the children: a dead one's job is back in the queue this soon."""
DRAIN_SECONDS = 8.0
"""Seconds that children get to finish a block and save it."""


class Supervisor:
    """One machine's workers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.id = new_id("sup")
        self.database = Database(settings.database_url)
        self.sweeper = Sweeper(settings, self.database)
        self.lock = WriteLock(self.database.file)
        self.stopping = threading.Event()
        children = settings.worker_processes or os.cpu_count() or 1
        self.pools = [
            Pool("training", broker.TRAINING, Job, children, self.id, settings),
            Pool("interactive", broker.INTERACTIVE, Task, 1, self.id, settings),
        ]
        self.swept_at = 0.0
        self.unheard_since: dict[str, float] = {}
        self.dropped: Counter[str] = Counter()

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        while not self.stopping.is_set():
            self.keep_pools_running()
            try:
                self.look_after()
                self.lock.free()
            except SQLAlchemyError as error:
                self.sweeper.blind()
                log.warning("the database does not answer", error=type(error).__name__)
                self.kill_who_keeps_it_locked()
            self.stopping.wait(TICK_SECONDS)
        self.drain()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """A signal handler only sets a flag."""
        self.stopping.set()

    def keep_pools_running(self) -> None:
        """Starts Celery, and again whenever it has ended."""
        for pool in self.pools:
            if not pool.running():
                pool.reap(time.monotonic())
                pool.start()

    def look_after(self) -> None:
        """One round over the children, and now and then over everything else."""
        self.sweeper.look()
        with self.database.session() as session:
            # Also those of a supervisor that was killed here: nobody else knows that they are dead.
            for worker in session.scalars(select(Worker).where(Worker.place == place())):
                if not alive(worker.pid):
                    remove_dead(session, worker)
        if time.monotonic() - self.swept_at > self.settings.sweep_seconds:
            self.sign_of_life()
            self.kill_the_hung()
            self.sweeper.sweep()
            self.watch()
            self.count_dropped()
            self.swept_at = time.monotonic()

    def sign_of_life(self) -> None:
        """Says that the children left are there."""
        with self.database.session() as session:
            own = update(Worker).where(Worker.supervisor == self.id)
            session.execute(own.values(seen_at=db_now()))

    def kill_the_hung(self) -> None:
        """A child of ours whose lease ran out, of a job or a question, has made no progress for the
        stall limit or does not run at all, unless the database was away."""
        if not self.sweeper.sees():
            return
        with self.database.session() as session:
            for table in (Job, Task):
                hung = session.scalars(
                    select(Worker)
                    .join(table, table.worker == Worker.id)
                    .where(Worker.supervisor == self.id, held(table), expired(table))
                ).all()
                for worker in hung:
                    log.error("worker hangs, killed", worker=worker.id, pid=worker.pid)
                    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                        os.kill(worker.pid, signal.SIGKILL)
                counters.add(session, {(counters.EXPIRED, table.__name__.lower()): len(hung)})

    def count_dropped(self) -> None:
        """Counts the messages that pools have dropped; what is not durable is counted again."""
        self.dropped.update({pool.name: pool.dropped() for pool in self.pools})
        if not self.dropped.total():
            return
        with self.database.session() as session:
            dropped = {(counters.DROPPED, name): by for name, by in self.dropped.items()}
            counters.add(session, dropped)
        self.dropped.clear()

    def kill_who_keeps_it_locked(self) -> None:
        """A worker process, of whatever supervisor here, that has been in a writing transaction on
        SQLite for a whole lease: its lease cannot be taken from it, for nobody can write."""
        pid = self.lock.held_for(self.settings.lease_seconds)
        if pid is None:
            return
        with contextlib.suppress(SQLAlchemyError, ProcessLookupError):
            with self.database.session(write=False) as session:  # who only reads is let in
                here = (Worker.place == place(), Worker.pid == pid)
                worker = session.scalar(select(Worker.id).where(*here).limit(1))
            if worker is not None:
                log.error("worker keeps the database locked, killed", worker=worker, pid=pid)
                os.kill(pid, signal.SIGKILL)

    def watch(self) -> None:
        """Restarts a consumer when work waits beside an idle child: after a broken connection
        Celery may stop hearing without noticing, and so does a child that is stopped. While the
        broker is away nobody can hear, and those who train are left to it."""
        for pool in self.pools:
            with self.database.session(write=False) as session:
                unheard = self.idle(session, pool) and self.waiting(session, pool)
            if not unheard or broker.pending(pool.queue) is None:
                self.unheard_since.pop(pool.name, None)
                continue
            since = self.unheard_since.setdefault(pool.name, time.monotonic())
            if time.monotonic() - since > self.settings.watchdog_seconds:
                log.error("work waits and nobody hears: restarting the consumer", pool=pool.name)
                del self.unheard_since[pool.name]
                self.close([pool])

    def idle(self, session: Session, pool: Pool) -> bool:
        """Whether a warm child of a pool of ours has nothing to do."""
        busy = select(pool.works_on.worker).where(
            held(pool.works_on), pool.works_on.worker.is_not(None)
        )
        query = select(Worker.id).where(
            Worker.supervisor == self.id, Worker.pool == pool.name, Worker.id.not_in(busy)
        )
        return session.scalar(query.limit(1)) is not None

    def waiting(self, session: Session, pool: Pool) -> bool:
        """Whether something waits that a child of a pool of ours could take."""
        if pool.works_on is Task:
            return waits(session, Task, TaskState.QUEUED)
        device = select(Worker.device).where(Worker.supervisor == self.id)
        suits = or_(Job.device_wanted == "auto", Job.device_wanted.in_(device))
        return waits(session, Job, JobState.QUEUED, suits)

    def drain(self) -> None:
        """Children finish their block, save it and give their jobs back; then all of it ends."""
        log.info("draining")
        self.close(self.pools)
        try:
            with self.database.session() as session:
                for worker in session.scalars(select(Worker).where(Worker.supervisor == self.id)):
                    remove_dead(session, worker)
        except SQLAlchemyError as error:
            log.warning("leases are left to expire", error=type(error).__name__)
        self.database.dispose()
        log.info("drained")

    def close(self, pools: list[Pool]) -> None:
        """Ends pools, and kills what is left of them when the time is up."""
        deadline = time.monotonic() + DRAIN_SECONDS
        for pool in pools:
            pool.close()
        while any(pool.running() for pool in pools) and time.monotonic() < deadline:
            self.ask_for_jobs()
            time.sleep(0.1)
        for pool in pools:
            pool.reap(deadline)

    def ask_for_jobs(self) -> None:
        """Tells the children that train to give their jobs back after the block at hand."""
        try:
            with self.database.session(write=False) as session:
                pids = session.scalars(
                    select(Worker.pid)
                    .join(Job, Job.worker == Worker.id)
                    .where(Worker.supervisor == self.id, Job.state.in_(HELD))
                ).all()
        except SQLAlchemyError:
            return  # nobody can give anything back now; the leases expire
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def remove_dead(session: Session, worker: Worker) -> None:
    """A child is gone: what it worked on goes back to the queue at once."""
    requeue(session, Job.worker == worker.id, reason="its worker died")
    requeue_tasks(session, Task.worker == worker.id)
    session.execute(delete(Worker).where(Worker.id == worker.id))
