"""Iterations over fixed memory, recorded once and replayed: on CUDA Python launches one graph for
several of them, instead of every kernel.

N iterations of a table. A device works ahead of Python, by two launches at most.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from training.step.batches import Batch
from training.step.step import State
from training.tensors.numerics import Numerics

UNROLLED_ITERATIONS = 8
"""Iterations of one launch, as far as there are so many."""
MAX_LAUNCHES_AHEAD_COUNT = 2
"""Launches that the device may be behind."""
WARM_UP_COUNT = 3
"""Runs before a recording, in which libraries set themselves up."""

ReplayedStep = Callable[[State, Batch], tuple[State, Tensor]]
"""One update: the next state, and the losses before it, of one job or of several."""


class CapturedRunner:
    """``iterate``, recorded for states and batches of these shapes; ``length``: how many iterations
    are run at once at most.

    Kernels, their order and their operands are those of ``iterate``, so the bits are too.
    """

    @torch.no_grad()
    def __init__(
        self, iterate: ReplayedStep, state: State, batch: Batch, length: int, numerics: Numerics
    ) -> None:
        self.iterate = iterate
        self.numerics = numerics
        self.length = length
        self.state = state.copied()
        self.table = batch.each(lambda tensor: tensor.new_zeros(length, *tensor.shape))
        self.at = torch.zeros(1, dtype=torch.int64, device=numerics.device)
        _, loss = iterate(state, self.row())
        self.losses = numerics.zeros(self.length, *loss.shape)
        self.behind = deque[torch.cuda.Event]()
        several = min(UNROLLED_ITERATIONS, self.length)
        self.launch = {count: self.recorded(count) for count in {1, several}}

    @torch.no_grad()
    def run(self, state: State, table: Batch, until: float | None) -> tuple[State, Tensor]:
        """Updates by each row of ``table``, or until the clock says so. The state, in memory that
        the next run overwrites, and the losses [N, ...], to be had when the device has settled."""
        if state is not self.state:
            self.state.overwrite(state)
        count = len(table.hyper)
        self.table.each(lambda place: place[:count]).overwrite(table)
        self.at.zero_()
        done = 0
        for size in launches(count, max(self.launch)):
            self.launch[size]()
            done += size
            self.keep_up()
            if until is not None and time.perf_counter() > until:
                break
        return self.state, self.numerics.fetched(self.losses[:done])

    def iteration(self) -> None:
        """One update, all of it on the device: its number too."""
        state, loss = self.iterate(self.state, self.row())
        self.state.overwrite(state)
        self.losses.index_copy_(0, self.at, loss.unsqueeze(0))
        self.at += 1

    def row(self) -> Batch:
        """That of the present iteration, whose number the device reads there."""
        return self.table.each(lambda tensor: tensor.index_select(0, self.at).squeeze(0))

    def recorded(self, count: int) -> Callable[[], None]:
        """So many updates as one launch; without CUDA that is to make them."""

        def work() -> None:
            for _ in range(count):
                self.iteration()

        if self.numerics.device.type != "cuda":
            return work
        graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream(self.numerics.device)
        side.wait_stream(torch.cuda.current_stream(self.numerics.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_COUNT):
                self.at.zero_()
                work()
        torch.cuda.current_stream(self.numerics.device).wait_stream(side)
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    def keep_up(self) -> None:
        """Waits until the device is no further behind than it may be: else the clock would say
        nothing of how long a block takes."""
        if self.numerics.device.type != "cuda":
            return
        launched = torch.cuda.Event()
        launched.record()
        self.behind.append(launched)
        if len(self.behind) > MAX_LAUNCHES_AHEAD_COUNT:
            self.behind.popleft().synchronize()


def launches(count: int, several: int) -> Iterator[int]:
    """How ``count`` updates are made: ``several`` at a time, then one by one."""
    yield from [several] * (count // several) + [1] * (count % several)
