"""What iteration n is given, as a function of n alone."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.catalog.layers import Dropout
from training.functional.losses import loss_weights
from training.functional.network import Tensors
from training.functional.optimizers import RULES, Numbers
from training.spec.plan import Plan, walk
from training.step.step import Inputs
from training.tensors.data import Data
from training.tensors.numerics import Numerics
from training.tensors.randomness import BatchStream, dropout_mask

WINDOW_ITERATIONS, WINDOW_ROWS = 256, 1 << 20
"""Iterations, or rows, whose indices and numbers are made at once, to cross to the device
together."""


class Window(NamedTuple):
    """What a run of N iterations is given, the noise apart: rows of the training data [N, B]
    (``None``: all of them), and the optimizer's numbers in float64 [N, H]."""

    iterations: range
    rows: NDArray[np.int64] | None
    hyper: NDArray[np.float64]


class Batch(NamedTuple):
    """What one iteration is given: rows of the training data [B] (``None``: all of them), the
    optimizer's numbers [H], masks [B, *shape] by layer path.

    Of K jobs side by side: [K, B], [H, K, 1], [K, B, *shape]; of N iterations an axis N in front.
    """

    rows: Tensor | None
    hyper: Tensor
    noise: Tensors

    def each(self, of: Callable[[Tensor], Tensor]) -> "Batch":
        """Something of every tensor."""
        rows = None if self.rows is None else of(self.rows)
        return Batch(rows, of(self.hyper), {path: of(mask) for path, mask in self.noise.items()})

    def overwrite(self, other: "Batch") -> None:
        """Takes the content of another, in the memory that is there."""
        if self.rows is not None and other.rows is not None:
            self.rows.copy_(other.rows)
        self.hyper.copy_(other.hyper)
        for path, mask in self.noise.items():
            mask.copy_(other.noise[path])


class BatchSource:
    """Batches, noise and hyper-parameters of a job by iteration number."""

    def __init__(self, plan: Plan, data: Data, numerics: Numerics) -> None:
        self.plan = plan
        self.train = data.parts["train"]
        self.loss_weights = loss_weights(plan.spec.loss, data.class_counts, numerics)
        self.numerics = numerics
        self.length = max(1, min(WINDOW_ITERATIONS, WINDOW_ROWS // plan.batch_size))
        self.stream = BatchStream(len(self.train.rows), plan.batch_size, plan.spec.seed)
        self.names = list(self.numbers(range(1)))
        self.window = Window(range(0), None, np.empty((0, 0)))
        self.ready = range(0)  # of which window the next two are tensors
        self.rows_NB: Tensor | None = None
        self.hyper_NH = numerics.zeros(0)
        self.noisy = [
            (layer.path, layer.word.p, (plan.batch_size, *layer.input_shape))
            for layer in walk(plan.layers)
            if isinstance(layer.word, Dropout)
        ]

    def __call__(self, n: int) -> Inputs:
        """Everything that update ``n`` needs."""
        if n not in self.ready:
            window = self.around(n)
            self.rows_NB, self.hyper_NH = self.tensors(window, slice(None))
            self.ready = window.iterations
        at = n - self.ready.start
        rows_B = None if self.rows_NB is None else self.rows_NB[at]
        noise = {path: self.numerics.floats(mask) for path, mask in self.noise(n).items()}
        return self.inputs(Batch(rows_B, self.hyper_NH[at], noise))

    def inputs(self, batch: Batch) -> Inputs:
        """The same, of what is known of the iteration."""
        x, y = self.train.x, self.train.y
        if batch.rows is not None:
            x, y = x.index_select(0, batch.rows), y.index_select(0, batch.rows)
        hyper = dict(zip(self.names, batch.hyper.unbind(), strict=True))
        return Inputs(x, y, batch.noise, hyper, self.loss_weights)

    def table(self, n: int, count: int) -> Batch:
        """What so many iterations from ``n`` on are given; they lie in one window."""
        window = self.around(n)
        first = n - window.iterations.start
        rows_NB, hyper_NH = self.tensors(window, slice(first, first + count))
        drawn = [self.noise(i) for i in range(n, n + count)]
        noise = {
            path: self.numerics.floats(np.stack([masks[path] for masks in drawn]))
            for path, _, _ in self.noisy
        }
        return Batch(rows_NB, hyper_NH, noise)

    def tensors(self, window: Window, span: slice) -> tuple[Tensor | None, Tensor]:
        """A part of a window on the device."""
        rows = None if window.rows is None else self.numerics.integers(window.rows[span])
        return rows, self.numerics.floats(window.hyper[span])

    def around(self, n: int) -> Window:
        """The window that holds iteration ``n``, made once."""
        if n not in self.window.iterations:
            self.window = self.made(n)
        return self.window

    def made(self, n: int) -> Window:
        """Where a window begins and ends is a function of the plan alone."""
        start = n - n % self.length
        iterations = range(start, min(start + self.length, self.plan.iterations))
        rows = None
        if self.plan.spec.batch_size != "full":  # the order within a full batch changes nothing
            rows = self.stream.indices(start, len(iterations))
        numbers = self.numbers(iterations)
        hyper = np.stack([np.broadcast_to(n, len(iterations)) for n in numbers.values()], 1)
        return Window(iterations, rows, hyper)

    def numbers(self, iterations: range) -> Numbers:
        """The optimizer's numbers, by name."""
        spec = self.plan.spec
        clip: Numbers = (
            {} if spec.clip_grad_norm is None else {"clip_grad_norm": spec.clip_grad_norm}
        )
        lr_N = np.array([self.plan.learning_rate(n) for n in iterations])
        return RULES[spec.optimizer.type].hyper(spec.optimizer, lr_N, np.array(iterations)) | clip

    def noise(self, n: int) -> dict[str, NDArray[np.float64]]:
        """The dropout masks of update ``n``: [B, *shape] by layer path."""
        seed = self.plan.spec.seed
        return {path: dropout_mask(p, shape, seed, path, n) for path, p, shape in self.noisy}
