"""What trains: a job alone, or several side by side (``training.fused``)."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from training.blocks import Block, Checkpoint, Evaluation
from training.job import Again, Training
from training.runners import RunnerName, Traced

MOST = 4096
"""Iterations a block at most: a device works ahead of the clock."""
WORTH_TRACING = 0.5
"""Seconds of eager work ahead from which on a trace (about 0.1 s) pays."""


class Group(ABC):
    """Jobs that go on together, block by block; ``pace``: seconds an iteration of the last one."""

    def __init__(self, jobs: Sequence[Training]) -> None:
        self.jobs = list(jobs)
        self.pace = 0.0

    def blocks(self, starts: Sequence[Checkpoint], seconds: float) -> list[Block]:
        """A block of each job, from where it stands, for about so long: all as many iterations,
        until one of them ends. One iteration at least."""
        ends = [
            min(start.iteration + MOST, job.end)
            for job, start in zip(self.jobs, starts, strict=True)
        ]
        began = time.perf_counter()
        made = self.advance(starts, ends, seconds)
        self.pace = (time.perf_counter() - began) / max(1, len(made[0].losses))
        return [
            job.judged(start, block, self.again(job))
            for job, start, block in zip(self.jobs, starts, made, strict=True)
        ]

    @abstractmethod
    def advance(
        self, starts: Sequence[Checkpoint], ends: Sequence[int], seconds: float | None
    ) -> list[Block]:
        """Updates from each of ``starts`` until one job is at its end, or for about so long."""

    @abstractmethod
    def alone(self, job: Training) -> "Group":
        """A group of one of the jobs, which computes the same."""

    @property
    @abstractmethod
    def runner(self) -> RunnerName:
        """What runs the step now."""

    @abstractmethod
    def trace(self, starts: Sequence[Checkpoint]) -> None:
        """Swaps the eager runner for the traced one; equal to the bit, so at any time."""

    def hasten(self, blocks: Sequence[Block]) -> None:
        """The same, if what is left after these blocks makes it pay."""
        ends = zip(self.jobs, blocks, strict=True)
        left = max(job.end - block.checkpoint.iteration for job, block in ends)
        if self.runner == "eager" and left * self.pace > WORTH_TRACING:
            self.trace([block.checkpoint for block in blocks])

    def again(self, job: Training) -> Again:
        """Goes the way of one job once more."""
        return lambda start, until: self.alone(job).advance([start], [until], None)[0]


class Alone(Group):
    """A job of the class *sequential*."""

    def advance(
        self, starts: Sequence[Checkpoint], ends: Sequence[int], seconds: float | None
    ) -> list[Block]:
        (job,), (start,), (until,) = self.jobs, starts, ends
        began = time.perf_counter()
        now, losses, evaluations = start, list[Tensor](), list[Evaluation]()
        state = now.state
        for n in range(start.iteration, until):
            if job.evaluates_at(n):
                now = job.evaluated(replace(now, iteration=n, state=state), evaluations)
                if job.stops_early(now):
                    break
            state, outputs = job.run(state, job.feed(n))
            losses.append(outputs.loss)
            del outputs  # its gradient is as large as the parameters
            if seconds is not None and time.perf_counter() - began > seconds:
                break
        # One transfer a block; nothing above waits for the device.
        series = torch.stack(losses).cpu().numpy() if losses else np.empty(0)
        recorded = series.astype(np.float32)
        end = replace(now, state=state)
        return [job.block(start, end, recorded, evaluations, self.runner)]

    def alone(self, job: Training) -> Group:
        return self

    @property
    def runner(self) -> RunnerName:
        return self.jobs[0].run.name

    def trace(self, starts: Sequence[Checkpoint]) -> None:
        (job,), (start,) = self.jobs, starts
        # The checkpoint only shows the graph the shapes.
        job.run = Traced(job.step, start.state, job.feed(start.iteration))
