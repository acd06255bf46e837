"""What trains: a job alone, or several side by side (``training.engine.fused_group``).

K jobs, N iterations.
"""

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from training.engine.blocks import Block, Checkpoint, Evaluation
from training.engine.job import Rerun, TrainingJob
from training.step.batches import Batch
from training.step.cuda_graph import CapturedRunner
from training.step.runners import RunnerName, Traced
from training.step.step import State

MAX_BLOCK_ITERATIONS = 4096
"""Iterations a block at most: a device works ahead of the clock."""
MAX_NOISE_VALUES = 2**22
"""Numbers of noise that are drawn at once for a captured step."""
MIN_TRACED_WORK_SECONDS = 0.5
"""Seconds of eager work ahead from which on a trace (about 0.1 s) pays."""


class Group(ABC):
    """Jobs that go on together, block by block; ``pace``: seconds an iteration of the last one.

    ``captured``: what runs their iterations on CUDA, where it pays.
    """

    def __init__(self, jobs: Sequence[TrainingJob]) -> None:
        self.jobs = list(jobs)
        self.numerics = jobs[0].numerics
        self.pace = 0.0
        self.captured: CapturedRunner | None = None

    def blocks(self, starts: Sequence[Checkpoint], seconds: float) -> list[Block]:
        """A block of each job, from where it stands, for about so long: all as many iterations,
        until one of them ends. One iteration at least."""
        ends = [
            min(start.iteration + MAX_BLOCK_ITERATIONS, job.end)
            for job, start in zip(self.jobs, starts, strict=True)
        ]
        began = time.perf_counter()
        made = self.advance(starts, ends, seconds)
        self.pace = (time.perf_counter() - began) / max(1, len(made[0].losses))
        return [
            job.judged(start, block, self.again(job))
            for job, start, block in zip(self.jobs, starts, made, strict=True)
        ]

    @torch.no_grad()
    def advance(
        self, starts: Sequence[Checkpoint], ends: Sequence[int], seconds: float | None
    ) -> list[Block]:
        """Updates from each of ``starts`` until one job is at its end, or for about so long."""
        until = None if seconds is None else time.perf_counter() + seconds
        now, seen = list(starts), [list[Evaluation]() for _ in self.jobs]
        state, losses, done = self.begin([start.state for start in starts]), list[Tensor](), 0
        left = min(end - start.iteration for start, end in zip(starts, ends, strict=True))
        while done < left:
            at = [start.iteration + done for start in starts]
            now, stops = self.evaluated(now, state, at, seen)
            if stops:
                break
            state, made_NK = self.run(state, at, self.uninterrupted(at, left - done), until)
            losses.append(made_NK)
            done += len(made_NK)
            if until is not None and time.perf_counter() > until:
                break
        self.numerics.settled()  # nothing above waits for the device
        series_NK = torch.cat(losses).numpy() if losses else np.empty((0, len(self.jobs)))
        series_KN = np.ascontiguousarray(series_NK.T, dtype=np.float32)
        states = self.states(state)
        return [
            job.block(start, replace(now[k], state=states[k]), series_KN[k], seen[k], self.runner)
            for k, (job, start) in enumerate(zip(self.jobs, starts, strict=True))
        ]

    def evaluated(
        self,
        now: list[Checkpoint],
        state: State,
        at: Sequence[int],
        seen: list[list[Evaluation]],
    ) -> tuple[list[Checkpoint], bool]:
        """Evaluates the jobs for which it is time; and whether one of them stops. Then the others
        are not at an end of theirs, and will be evaluated where they go on."""
        due = [k for k, job in enumerate(self.jobs) if job.evaluates_at(at[k])]
        if not due:
            return now, False
        states, after, stopped = self.states(state), list(now), set[int]()
        for k in due:
            here = replace(now[k], iteration=at[k], state=states[k])
            after[k] = self.jobs[k].evaluated(here, seen[k])
            if self.jobs[k].stops_early(after[k]):
                stopped.add(k)
        if not stopped:
            return after, False
        for k in set(due) - stopped:
            seen[k].pop()
        return [after[k] if k in stopped else now[k] for k in range(len(now))], True

    def uninterrupted(self, at: Sequence[int], most: int) -> int:
        """Iterations that can be run without a look at any of the jobs."""
        counts = [most]
        if self.captured is not None:
            counts.append(self.captured.length)
        for job, n in zip(self.jobs, at, strict=True):
            counts.append(job.feed.around(n).iterations.stop - n)
            if job.evaluates and job.plan.rows["validation"]:
                counts.append(job.plan.evaluate_every - n % job.plan.evaluate_every)
        return min(counts)

    def run(
        self, state: State, at: Sequence[int], count: int, until: float | None
    ) -> tuple[State, Tensor]:
        """Up to ``count`` updates, one at least, or until the clock says so; the losses [N, K] are
        in the memory of the host when the device has settled."""
        if self.captured is not None:
            state, losses = self.captured.run(state, self.table(at, count), until)
            return state, losses.view(-1, len(self.jobs))
        return self.one_by_one(state, at, count, until)

    @abstractmethod
    def begin(self, states: Sequence[State]) -> State:
        """The states of all jobs as the step takes them."""

    @abstractmethod
    def states(self, state: State) -> list[State]:
        """The inverse: the state of each job, as a value that no update changes."""

    @abstractmethod
    def one_by_one(
        self, state: State, at: Sequence[int], count: int, until: float | None
    ) -> tuple[State, Tensor]:
        """``run``, launched by Python."""

    @abstractmethod
    def table(self, at: Sequence[int], count: int) -> Batch:
        """What so many iterations of the jobs are given."""

    @abstractmethod
    def update(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """One update as the step is written, and the losses before it."""

    @abstractmethod
    def alone(self, job: TrainingJob) -> "Group":
        """A group of one of the jobs, which computes the same."""

    @property
    @abstractmethod
    def launched_by(self) -> RunnerName:
        """What runs the step while nothing is captured."""

    @abstractmethod
    def flatten(self, starts: Sequence[Checkpoint]) -> None:
        """Swaps the eager runner for the traced one."""

    @property
    def runner(self) -> RunnerName:
        """What runs the step now."""
        return self.launched_by if self.captured is None else "captured"

    def trace(self, starts: Sequence[Checkpoint]) -> None:
        """Swaps the eager runner for a faster one; equal to the bit, so at any time."""
        if self.numerics.device.type == "cuda":
            self.capture(starts)
        else:
            self.flatten(starts)

    def capture(self, starts: Sequence[Checkpoint]) -> None:
        """The same on CUDA. What cannot be recorded there stays eager."""
        state, at = self.begin([start.state for start in starts]), [s.iteration for s in starts]
        batch = self.table(at, 1).each(lambda tensor: tensor[0])
        drawn = sum(mask.numel() for mask in batch.noise.values())
        length = min(self.jobs[0].feed.length, max(1, MAX_NOISE_VALUES // max(1, drawn)))
        try:
            self.captured = CapturedRunner(self.update, state, batch, length, self.numerics)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"the step cannot be captured: {error}", stacklevel=2)

    def hasten(self, blocks: Sequence[Block]) -> None:
        """The same, if what is left after these blocks makes it pay."""
        ends = zip(self.jobs, blocks, strict=True)
        left = max(job.end - block.checkpoint.iteration for job, block in ends)
        if self.runner == "eager" and left * self.pace > MIN_TRACED_WORK_SECONDS:
            self.trace([block.checkpoint for block in blocks])

    def again(self, job: TrainingJob) -> Rerun:
        """Goes the way of one job once more."""
        return lambda start, until: self.alone(job).advance([start], [until], None)[0]


class SingleJobGroup(Group):
    """A job of the class *sequential*."""

    def begin(self, states: Sequence[State]) -> State:
        (state,) = states
        return state

    def states(self, state: State) -> list[State]:
        return [state if self.captured is None else state.copied()]

    def one_by_one(
        self, state: State, at: Sequence[int], count: int, until: float | None
    ) -> tuple[State, Tensor]:
        (job,), (start,), losses = self.jobs, at, list[Tensor]()
        for n in range(start, start + count):
            state, outputs = job.run(state, job.feed(n))
            losses.append(outputs.loss)
            del outputs  # its gradient is as large as the parameters
            if until is not None and time.perf_counter() > until:
                break
        return state, self.numerics.fetched(torch.stack(losses)[:, None])

    def table(self, at: Sequence[int], count: int) -> Batch:
        (job,), (start,) = self.jobs, at
        return job.feed.table(start, count)

    def update(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        (job,) = self.jobs
        updated, outputs = job.step(state, job.feed.inputs(batch))
        return updated, outputs.loss

    def alone(self, job: TrainingJob) -> Group:
        return self

    @property
    def launched_by(self) -> RunnerName:
        return self.jobs[0].run.name

    def flatten(self, starts: Sequence[Checkpoint]) -> None:
        (job,), (start,) = self.jobs, starts
        # The checkpoint only shows the graph the shapes.
        job.run = Traced(job.step, start.state, job.feed(start.iteration))
