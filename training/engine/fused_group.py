"""Jobs of one signature side by side: one row of the flat store each, one kernel for all of them.

K jobs, B batch, P parameters, R the width of a row, N iterations, H numbers of an optimizer.
"""

import itertools
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Graph
from torch.fx.experimental.proxy_tensor import make_fx

from training.engine.blocks import Checkpoint
from training.engine.group import Group
from training.engine.job import TrainingJob
from training.functional.fused_layers import width
from training.functional.optimizers import RULES
from training.step.batches import Batch
from training.step.cpu_program import Program
from training.step.graph_for_any_size import for_any
from training.step.runners import RunnerName, row, stacked
from training.step.step import Inputs, State
from training.validation.fusion_rules import graph_key

MAX_PROGRAM_VALUES = 2 * 2**20
"""Numbers of all jobs together up to which a program is worth its memory; larger products do not
notice what it saves."""
MAX_GRAPH_COUNT = 32
"""Graphs that a process keeps, for jobs of a signature that it has seen before."""
TRACED_JOB_COUNTS = (2, 3, 5)
"""Numbers of jobs with which a step is traced."""
GRAPHS: OrderedDict[tuple[Any, ...], Graph] = OrderedDict()
"""By signature and shapes. A graph holds no number of a job: those are its inputs."""


class FusedGroup(Group):
    """Jobs of one signature and the same data, of the class *fused*: alone or in any company each
    has the same bits. They may stand at different iterations.

    ``state``: [K, R]; with a program it is memory that every iteration overwrites.
    """

    def __init__(self, jobs: Sequence[TrainingJob]) -> None:
        super().__init__(jobs)
        lead = self.lead = jobs[0]
        self.size = sum(lead.network.sizes)
        self.names = lead.feed.names
        self.masks = sorted(path for path, _, _ in lead.feed.noisy)
        self.slots = sorted(RULES[lead.plan.spec.optimizer.type].slots(lead.plan.spec.optimizer))
        train = lead.data.parts["train"]
        self.data = (train.x, train.y)
        self.weights = lead.feed.loss_weights
        self.program: Program | None = None
        self.small = len(jobs) * width(self.size) <= MAX_PROGRAM_VALUES
        if self.small and self.key in GRAPHS:
            self.planned()

    def begin(self, states: Sequence[State]) -> State:
        """In memory of the group's own, which every update may overwrite."""
        return stacked(states)

    def states(self, state: State) -> list[State]:
        if self.program is not None or self.captured is not None:
            state = state.copied()
        return [row(state, k, self.size) for k in range(len(self.jobs))]

    def one_by_one(
        self, state: State, at: Sequence[int], count: int, until: float | None
    ) -> tuple[State, Tensor]:
        rows_NKB, hyper_NHK1 = self.numbers(at, count)
        losses_NK = self.numerics.zeros(count, len(self.jobs))
        # All views at once: one by one they cost as much as what is copied from them.
        rows = itertools.repeat(None) if rows_NKB is None else rows_NKB.unbind()
        each = zip(range(count), rows, hyper_NHK1.unbind(), losses_NK.unbind(), strict=False)
        for i, rows_KB, hyper_HK1, place_K in each:
            noise = self.noise([n + i for n in at]) if self.masks else {}
            state, loss_K = self.updated(state, Batch(rows_KB, hyper_HK1, noise))
            place_K.copy_(loss_K)
            if until is not None and time.perf_counter() > until:
                break
        return state, self.numerics.fetched(losses_NK[: i + 1])

    def table(self, at: Sequence[int], count: int) -> Batch:
        drawn = [self.noise([n + i for n in at]) for i in range(count)]
        noise = {path: torch.stack([masks[path] for masks in drawn]) for path in self.masks}
        return Batch(*self.numbers(at, count), noise)

    def numbers(self, at: Sequence[int], count: int) -> tuple[Tensor | None, Tensor]:
        """Rows [N, K, B] and numbers [N, H, K, 1] of the next iterations of all jobs."""
        windows = [job.feed.around(n) for job, n in zip(self.jobs, at, strict=True)]
        spans = [
            slice(n - window.iterations.start, n - window.iterations.start + count)
            for window, n in zip(windows, at, strict=True)
        ]
        hyper = np.stack([w.hyper[span] for w, span in zip(windows, spans, strict=True)], -1)
        hyper_NHK1 = self.numerics.floats(hyper[..., None])
        rows = [w.rows[span] for w, span in zip(windows, spans, strict=True) if w.rows is not None]
        return self.numerics.integers(np.stack(rows, 1)) if rows else None, hyper_NHK1

    def noise(self, at: Sequence[int]) -> dict[str, Tensor]:
        """The masks of all jobs, by layer path."""
        drawn = [job.feed.noise(n) for job, n in zip(self.jobs, at, strict=True)]
        return {
            path: self.numerics.floats(np.stack([masks[path] for masks in drawn]))
            for path in self.masks
        }

    def update(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        *updated, loss_K = self.step(*self.flat(state, batch))
        return self.state(updated), loss_K

    def updated(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """The same by the program, if there is one: over memory that the next update overwrites."""
        if self.program is None:
            return self.update(state, batch)
        if state is not self.memory:
            self.memory.overwrite(state)
        self.place.overwrite(batch)
        self.program()
        return self.memory, self.program.outputs[-1]

    def step(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The step as a function of flat tensors: the next state, and the losses."""
        state, batch = self.state(tensors), list(tensors[1 + len(self.slots) :])
        rows = None if self.lead.plan.spec.batch_size == "full" else batch.pop(0)
        hyper, (x, y) = dict(zip(self.names, batch.pop(0).unbind(), strict=True)), batch[-2:]
        noise = dict(zip(self.masks, batch, strict=False))
        weights = dict(zip(sorted(self.weights), batch[len(noise) : -2], strict=True))
        jobs = state.parameters.shape[0]
        if rows is None:
            x, y = x.expand(jobs, *x.shape), y.expand(jobs, *y.shape)
        else:
            chosen = rows.flatten()
            x = x.index_select(0, chosen).view(*rows.shape, *x.shape[1:])
            y = y.index_select(0, chosen).view(*rows.shape, *y.shape[1:])
        updated, outputs = self.lead.step(state, Inputs(x, y, noise, hyper, weights))
        slots = [updated.slots[name] for name in self.slots]
        return updated.parameters, *slots, outputs.loss

    def flat(self, state: State, batch: Batch) -> list[Tensor]:
        """The inverse of what ``step`` takes apart."""
        return [
            state.parameters,
            *[state.slots[name] for name in self.slots],
            *([] if batch.rows is None else [batch.rows]),
            batch.hyper,
            *[batch.noise[path] for path in self.masks],
            *[self.weights[name] for name in sorted(self.weights)],
            *self.data,
        ]

    def state(self, tensors: Sequence[Tensor]) -> State:
        """The state among flat tensors, which it begins."""
        return State(tensors[0], {}, dict(zip(self.slots, tensors[1:], strict=False)))

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What a graph depends on; it serves any number of jobs."""
        numerics = self.numerics
        shapes = tuple(tuple(tensor.shape) for tensor in self.data)
        return graph_key(self.lead.plan), shapes, numerics.dtype, numerics.device.type

    def alone(self, job: TrainingJob) -> Group:
        return self if self.jobs == [job] else FusedGroup([job])

    @property
    def launched_by(self) -> RunnerName:
        return "eager" if self.program is None else "traced"

    def flatten(self, starts: Sequence[Checkpoint]) -> None:
        if self.small:
            self.planned()

    @torch.no_grad()
    def planned(self) -> None:
        """Lays out a program for so many jobs; the graph is traced unless that was done before."""
        if self.key not in GRAPHS:
            GRAPHS[self.key] = self.traced()
            if len(GRAPHS) > MAX_GRAPH_COUNT:
                GRAPHS.popitem(last=False)
        GRAPHS.move_to_end(self.key)
        self.memory, self.place = self.blank(len(self.jobs))
        carried = {i: i for i in range(1 + len(self.slots))}
        given = self.flat(self.memory, self.place)
        self.program = Program(GRAPHS[self.key], given, carried)

    def traced(self) -> Graph:
        """The step as a graph for any number of jobs."""
        return for_any(
            {k: make_fx(self.step)(*self.flat(*self.blank(k))).graph for k in TRACED_JOB_COUNTS}
        )

    def blank(self, jobs: int) -> tuple[State, Batch]:
        """What an update of so many jobs is given, without content: memory of the group's own."""
        lead, numerics = self.lead, self.numerics
        state = State(
            numerics.zeros(jobs, width(self.size)),
            {},
            {name: numerics.zeros(jobs, width(self.size)) for name in self.slots},
        )
        rows = None
        if lead.plan.spec.batch_size != "full":
            rows = numerics.integers(np.zeros((jobs, lead.plan.batch_size), dtype=np.int64))
        noise = {path: numerics.zeros(jobs, *shape) for path, _, shape in lead.feed.noisy}
        return state, Batch(rows, numerics.zeros(len(self.names), jobs, 1), noise)
