"""Is a job reproducible? It is trained again, and every number compared with what is recorded."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select

from app.services.metrics.points import Points
from app.tables import ModelVersion
from training.engine import predict
from training.engine.blocks import Evaluation, Outcome
from training.engine.loop import train
from training.engine.stopping import Losses
from worker.process.job_inputs import fused
from worker.replay.replay_job import ReplayJob, same_bits


class BlockSeries(NamedTuple):
    """A block without its state: all of them together are held at once."""

    first: int
    losses: Losses
    evaluations: tuple[Evaluation, ...]
    outcome: Outcome | None


def verification(course: ReplayJob, progress: Callable[[], None]) -> dict[str, Any]:
    """The verdict. ``first_difference``: the first iteration whose loss or evaluation differs.

    ``progress`` is called as it goes on.
    """
    blocks = train_again(course, progress)
    found = series(blocks)
    recorded = {name: course.recorded(name) for name in course.job.series}
    compared = [first_difference(found.get(name, {}), recorded[name]) for name in recorded]
    differences = [n for n in compared if n >= 0]
    model = same_model(course, blocks[-1].outcome)
    return {
        "verified": not differences and model is not False,
        "values": {name: len(points.values) for name, points in recorded.items()},
        "first_difference": min(differences, default=None),
        "model": model,
        "same_fingerprint": course.same_numerics,
    }


def train_again(course: ReplayJob, progress: Callable[[], None]) -> list[BlockSeries]:
    """The job from its start, as far as it was recorded."""
    blocks = []
    for block in train(course.segments, course.data, course.numerics, fused=fused(course.job)):
        blocks.append(BlockSeries(block.first, block.losses, block.evaluations, block.outcome))
        progress()
        if block.outcome is None and block.checkpoint.iteration > course.job.iteration:
            break  # it was stopped there, by a person or by a failure
    return blocks


def series(blocks: list[BlockSeries]) -> dict[str, dict[int, float]]:
    """Everything that was computed: values by iteration, by series."""
    found: dict[str, dict[int, float]] = {"loss": {}}
    for block in blocks:
        found["loss"] |= {block.first + i: float(loss) for i, loss in enumerate(block.losses)}
        for evaluation in block.evaluations:
            for name, value in evaluation.values.items():
                found.setdefault(f"validation_{name}", {})[evaluation.iteration] = value
    return found


def first_difference(found: dict[int, float], recorded: Points) -> int:
    """The first recorded iteration whose value was not found again; −1: there is none."""
    for n, value in zip(recorded.iterations.tolist(), recorded.values, strict=True):
        again = np.array([found.get(n, np.nan)], dtype=np.float32)
        if n not in found or not same_bits(again, np.array([value])):
            return int(n)
    return -1


def same_model(course: ReplayJob, outcome: Outcome | None) -> bool | None:
    """Whether the model's file would be the same; ``None`` when the job has left no model."""
    with course.child.database.session(write=False) as session:
        recorded = session.scalar(
            select(ModelVersion.sha256).where(ModelVersion.job_id == course.job.id)
        )
    if recorded is None or outcome is None:
        return None if recorded is None else False
    content = predict.encode(course.plan, course.data.preparation, outcome.weights)
    return hashlib.sha256(content).hexdigest() == recorded
