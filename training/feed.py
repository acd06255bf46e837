"""What iteration n is given, as a function of n alone."""

import torch

from training.catalog.layers import Dropout
from training.data import Data
from training.losses import loss_weights
from training.network import Tensors
from training.numerics import Numerics
from training.optimizers import RULES
from training.plan import Plan, every
from training.randomness import BatchStream, dropout_mask
from training.step import Inputs

CHUNK, ROWS = 256, 1 << 20
"""Iterations, or rows, whose indices and numbers are made at once, to cross to the device
together."""


class Feed:
    """Batches, noise and hyper-parameters of a job by iteration number."""

    def __init__(self, plan: Plan, data: Data, numerics: Numerics) -> None:
        self.plan = plan
        self.train = data.parts["train"]
        self.loss_weights = loss_weights(plan.spec.loss, data.class_counts, numerics)
        self.numerics = numerics
        self.stream = BatchStream(len(self.train.rows), plan.batch_size, plan.spec.seed)
        self.chunk = range(0)
        self.index_NB = self.hyper_NH = numerics.zeros(0)
        self.hyper_names: list[str] = []
        self.noisy = [
            (layer.path, layer.word.p, (plan.batch_size, *layer.input_shape))
            for layer in every(plan.layers)
            if isinstance(layer.word, Dropout)
        ]

    def __call__(self, n: int) -> Inputs:
        """Everything that update ``n`` needs."""
        if n not in self.chunk:
            self.fill(n)
        at = n - self.chunk.start
        x, y = self.train.x, self.train.y
        if self.plan.spec.batch_size != "full":  # the order within a full batch changes nothing
            rows_B = self.index_NB[at]
            x, y = x.index_select(0, rows_B), y.index_select(0, rows_B)
        hyper = dict(zip(self.hyper_names, self.hyper_NH[at].unbind(), strict=True))
        return Inputs(x, y, self.noise(n), hyper, self.loss_weights)

    def fill(self, n: int) -> None:
        """Prepares the chunk of iterations that holds ``n``."""
        length = max(1, min(CHUNK, ROWS // self.plan.batch_size))
        start = n - n % length
        self.chunk = range(start, min(start + length, self.plan.iterations))
        if self.plan.spec.batch_size != "full":
            indices = self.stream.indices(start, len(self.chunk))
            self.index_NB = self.numerics.integers(indices)
        optimizer, plan = self.plan.spec.optimizer, self.plan
        rule, clip = RULES[optimizer.type], self.plan.spec.clip_grad_norm
        constant = {} if clip is None else {"clip_grad_norm": clip}
        rows = [rule.hyper(optimizer, plan.learning_rate(i), i) | constant for i in self.chunk]
        self.hyper_names = list(rows[0])
        table = torch.tensor([list(row.values()) for row in rows], dtype=torch.float64)
        self.hyper_NH = table.to(self.numerics.device, self.numerics.dtype)

    def noise(self, n: int) -> Tensors:
        """The dropout masks of update ``n``: [B, *shape] by layer path."""
        seed = self.plan.spec.seed
        return {
            path: self.numerics.floats(dropout_mask(p, shape, seed, path, n))
            for path, p, shape in self.noisy
        }
