"""What a block leaves in the database: one transaction that begins with the fence.

It is prepared once and may be sent again, for a COMMIT whose answer was lost may have happened.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import structlog
from sqlalchemy import select, union

from app.database.base import db_now
from app.ids import new_id
from app.jsonable import from_jsonable, to_jsonable
from app.services.metrics.pyramid import Row
from app.services.metrics.pyramid_writer import Chunk
from app.services.metrics.series_writer import SeriesWriter
from app.services.operations import counters
from app.storage import Stored
from app.tables import Checkpoint as CheckpointRow
from app.tables import Job, ModelVersion
from training.catalog.metrics import rises
from training.engine import checkpoint, predict
from training.engine.blocks import Block, Checkpoint, Evaluation, Outcome
from training.engine.stopping import MAX_LOSS_RATIO
from training.spec.plan import Plan, Segment
from training.tensors.data import Data
from training.validation.fusion_rules import why_not_fusable
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import AttemptEnd, failed
from worker.recording.transaction import Prepared

log = structlog.get_logger()


class Recorder:
    """Turns the blocks of one attempt into transactions.

    ``state`` and ``durable`` are what the last of them found and left: the job's state, and the
    training's.
    """

    def __init__(
        self,
        child: WorkerProcess,
        job: Job,
        segments: Sequence[Segment],
        data: Data,
        start: Checkpoint | None,
        running_seconds: Callable[[], float],
    ) -> None:
        self.child = child
        self.job = job
        self.plan = plan = segments[-1].plan
        self.data = data
        self.durable = start
        self.running_seconds = running_seconds
        self.begins = segments[-2].until or 0 if len(segments) > 1 else 0
        resume_at = start.iteration if start else 0
        self.iteration = job.iteration
        self.state: str = job.state
        self.findings: list[dict[str, Any]] = []
        self.resumed_at = resume_at
        self.latest: dict[str, Any] = dict(job.latest)
        self.best: dict[str, Any] = dict(job.best)
        self.recorded_execution = job.execution
        self.execution = explained(job.execution or {}, plan, child.device)
        every = plan.evaluate_every
        first = max(1, -(-self.begins // every)) * every
        self.series = {
            name: SeriesWriter(name, 0, 1) if name == "loss" else SeriesWriter(name, first, every)
            for name in job.series
        }
        if job.iteration:
            with child.database.session(write=False) as session:
                for series in self.series.values():
                    series.load(session, job, resume_at)

    def prepare(
        self, block: Block, *, save: bool = False, end: AttemptEnd | None = None, group: int = 1
    ) -> Prepared:
        """Everything but the transaction: files are durable before a row names them.

        ``save``: store the state after the block; ``end``: of the attempt, with this block;
        ``group``: how many jobs were computed together.
        """
        self.findings = []
        rows = self.losses(block) + [row for e in block.evaluations for row in self.evaluation(e)]
        # Each evaluation rewrites the open chunk, and PostgreSQL takes a row once a statement.
        chunks = list({(row["series"], row["first_iteration"]): row for row in rows}.values())
        done = block.first + len(block.losses)
        known, self.iteration = self.iteration, max(self.iteration, done)
        changes: dict[str, Any] = {
            "iteration": self.iteration,
            "epoch": self.plan.epoch(self.iteration),
            "attempt_iteration": done,
            "attempt_first_iteration": self.resumed_at,
            "running_seconds": self.running_seconds(),
            "latest": self.latest,
            "best": self.best,
            "progressed_at": db_now(),
            "lease_expires_at": db_now(self.child.settings.lease_seconds),
        }
        execution = self.execution | {"runner": block.runner, "group": group}
        if execution != self.recorded_execution:
            changes["execution"] = self.recorded_execution = execution
        return Prepared(
            self.job,
            changes,
            chunks,
            [self.level(name, row) for name, s in self.series.items() for row in s.taken()],
            self.findings,
            self.saved(block) if save else None,
            self.model(block.outcome),
            ended(block.outcome, self.latest.get("loss")) if block.outcome else end,
            self.counts(block, self.iteration - known),
            block.checkpoint,
        )

    def committed(self, prepared: Prepared, state: str) -> None:
        """The transaction has become durable."""
        self.durable, self.state = prepared.state, state

    def drop(self, prepared: Prepared) -> None:
        """Removes the files of a transaction that was refused.

        Unless a row names them after all: an earlier COMMIT may have happened, its answer lost.
        """
        saved = prepared.checkpoint["location"] if prepared.checkpoint else None
        model = prepared.model.location if prepared.model else None
        with self.child.database.session(write=False) as session:
            rows = union(
                select(CheckpointRow.location).where(CheckpointRow.location == saved),
                select(ModelVersion.location).where(ModelVersion.location == model),
            )
            named = session.scalars(rows).all()
        for location in (saved, model):
            if location is not None and location not in named:
                self.child.storage.delete(location)

    def counts(self, block: Block, new: int) -> counters.Counts:
        """The iterations of a block, and how many of them are new."""
        device = self.child.device
        return {(counters.ITERATIONS, device): len(block.losses), (counters.LOSSES, device): new}

    def losses(self, block: Block) -> list[dict[str, Any]]:
        """The chunks that hold this block's losses."""
        if not len(block.losses):
            return []
        rows, agree = self.series["loss"].add(block.first, block.losses)
        if not agree:
            log.error("a repeated loss differs from the recorded one", iteration=block.first)
            self.findings.append({"finding": "repeated_loss_differs", "iteration": block.first})
        self.notice("loss", block.first + len(block.losses), float(block.losses[-1]))
        self.improve("loss", float(np.fmin.reduce(block.losses)))
        return [self.chunk("loss", 1, row) for row in rows]

    def evaluation(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        """The chunks that hold one evaluation of the validation data.

        Those of the jobs that a fork descends from were taken over with it.
        """
        found: list[dict[str, Any]] = []
        if evaluation.iteration < self.begins:
            return found
        for short, value in evaluation.values.items():
            name, at = f"validation_{short}", evaluation.iteration
            series, values = self.series[name], np.array([value], dtype=np.float32)
            if series.on_grid(at):
                rows, _ = series.add(at, values)
            else:
                rows = [Chunk(at, values)]
            found += [self.chunk(name, series.stride, row) for row in rows]
            self.notice(name, at, float(values[0]))
            self.improve(name, float(values[0]))
        return found

    def notice(self, name: str, at: int, value: float) -> None:
        """Remembers the latest value of a series; what is only repeated is not the latest."""
        if at >= self.iteration:
            self.latest = self.latest | {name: to_jsonable(value)}

    def improve(self, name: str, value: float) -> None:
        """Remembers the best value of a series; NaN is never best."""
        best = from_jsonable(self.best.get(name, "NaN"))
        better = value > best if rises(name) else value < best
        if better or (np.isnan(best) and not np.isnan(value)):
            self.best = self.best | {name: to_jsonable(value)}

    def chunk(self, series: str, stride: int, row: Chunk) -> dict[str, Any]:
        """A row of ``metric_chunks``."""
        return {
            "job_id": self.job.id,
            "tenant_id": self.job.tenant_id,
            "series": series,
            "first_iteration": row.first_iteration,
            "stride": stride,
            "values": row.values,
        }

    def level(self, series: str, row: Row) -> dict[str, Any]:
        """A row of ``metric_levels``."""
        return {
            "job_id": self.job.id,
            "tenant_id": self.job.tenant_id,
            "series": series,
            "level": row.level,
            "first_iteration": row.first,
            "last_iteration": row.last,
            "marks": row.marks,
        }

    def saved(self, block: Block) -> dict[str, Any]:
        """Stores the state after the block."""
        stored = self.child.storage.put("ckpt", checkpoint.encode(block.checkpoint))
        return {
            "id": new_id("ckpt"),
            "job_id": self.job.id,
            "tenant_id": self.job.tenant_id,
            "iteration": block.checkpoint.iteration,
            "created_at": db_now(),
            **stored._asdict(),
        }

    def model(self, outcome: Outcome | None) -> Stored | None:
        """Stores what a job that ended well leaves."""
        if outcome is None or outcome.reason == "diverged":
            return None
        content = predict.encode(self.plan, self.data.preparation, outcome.weights)
        return self.child.storage.put("model", content)


def explained(execution: dict[str, Any], plan: Plan, device: str) -> dict[str, Any]:
    """How a job is computed, as it was committed with its first claim, and why so."""
    if "why" in execution:
        return execution
    if execution.get("class") == "fused":
        return execution | {"why": "its layers keep several jobs apart, to the bit"}
    why = why_not_fusable(plan, device) or "the rule was another one when the job began"
    return execution | {"why": why}


def ended(outcome: Outcome, loss: float | str | None) -> AttemptEnd:
    """A job ends by itself; ``loss`` is its latest."""
    if outcome.reason != "diverged":
        reason = None if outcome.reason == "completed" else outcome.reason
        return AttemptEnd("succeed", reason, {"result": to_jsonable(outcome.result)})
    message = (
        f"the loss at iteration {outcome.iteration} was {loss}; it or the weights after it are "
        f"no numbers, or it is over {MAX_LOSS_RATIO:.0e} times that of the start: "
        "the learning rate is probably too high; try a third of it"
    )
    end = failed("diverged", "loss_diverged", message, outcome.iteration)
    return replace(end, reason="diverged")
