"""One job of an attempt: where it stands, and what records it."""

import time
from collections.abc import Sequence

import structlog

from app.tables import Job, JobState
from training.engine.blocks import Block, Checkpoint
from training.engine.segments import SegmentedJob
from training.spec.plan import Segment
from training.tensors.data import Data
from training.tensors.numerics import Numerics
from worker.execution.resume import compare_numerics, latest_checkpoint, reload_job
from worker.process.job_inputs import arrays_of, fused, segments_of
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import PAUSED, RELEASED, AttemptEnd, out_of_time
from worker.queue.heartbeat import Heartbeat
from worker.recording.recorder import Recorder

log = structlog.get_logger()


class Member:
    """``progress``: the job as the engine trains it. ``failure``: why the job takes no further
    part, as the writer found out."""

    def __init__(
        self,
        child: WorkerProcess,
        job: Job,
        claimed_at: float,
        segments: Sequence[Segment] | None = None,
    ) -> None:
        self.child = child
        self.job = job
        self.segments = segments
        self.failure: Exception | None = None
        self.names = {
            "job_id": job.id,
            "request_id": job.request_id,
            "tenant_id": job.tenant_id,
            "fence": job.fence,
        }
        self.log = log.bind(**self.names)
        self.heartbeat = Heartbeat(child, job, claimed_at, job.running_seconds)
        self.saved_at = time.monotonic()

    def resume(self, data: Data | None) -> None:
        """Goes on from the newest checkpoint. ``data``: of the other members, if there are any; a
        group has the same data."""
        child, job = self.child, self.job
        segments = self.segments or segments_of(child, job)
        numerics = Numerics.on(child.device, job.spec["precision"])
        self.data = data or child.shelf.load(segments[-1].plan, numerics, arrays_of(child))
        start = latest_checkpoint(child, job, numerics)
        if job.iteration:
            compare_numerics(child, job, numerics)
        resumed_at = start.iteration if start else 0
        self.log.info("job begins", resumed_at=resumed_at, attempt=job.attempts)
        self.start(segments, start, numerics)

    def start(
        self, segments: Sequence[Segment], start: Checkpoint | None, numerics: Numerics
    ) -> None:
        """Goes on from a state, under the plans that the job has now."""
        self.plan = segments[-1].plan
        self.progress = SegmentedJob(segments, self.data, numerics, start, fused=fused(self.job))
        self.recorder = Recorder(
            self.child, self.job, segments, self.data, start, self.heartbeat.running_seconds
        )

    def replan(self) -> None:
        """The plan was changed while the job ran: goes on from what is durable; raises ``Lost``."""
        self.job, self.failure = reload_job(self.child, self.job), None
        self.log.info("job takes another course", iteration=self.job.iteration)
        segments = segments_of(self.child, self.job)
        self.start(segments, self.recorder.durable, self.progress.numerics)

    def reason_to_stop(self, block: Block) -> AttemptEnd | None:
        """Why no further block is asked for, though there would be more."""
        if block.outcome is not None:
            return None
        return reason_to_stop(self.child, self.recorder, block)

    def saves(self, block: Block, end: AttemptEnd | None) -> bool:
        """Whether the state after a block is to be stored."""
        due = time.monotonic() - self.saved_at >= self.plan.spec.checkpoint_every_seconds
        save = (due or end is not None) and block.outcome is None
        if save:
            self.saved_at = time.monotonic()
        return save


def reason_to_stop(child: WorkerProcess, recorder: Recorder, block: Block) -> AttemptEnd | None:
    """Why an attempt ends with a block that is not the job's last."""
    if child.draining.is_set():
        return RELEASED
    limit = recorder.plan.spec.time_limit_seconds
    if limit is not None and recorder.running_seconds() >= limit:
        return out_of_time(limit, block.checkpoint.iteration, recorder.plan.iterations)
    return PAUSED if recorder.state == JobState.PAUSING else None
