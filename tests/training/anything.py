"""Specifications of all kinds, odd ones too: each is a function of its number."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tests.specifications import Specification
from training.catalog import LAYERS, Layer, Shape, ShapeError

WORD: TypeAdapter[Any] = TypeAdapter(Layer)
LARGEST = 2000
"""Numbers of an example between two layers."""


class Anything:
    """Draws one specification after the other; most of them are accepted."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.numbers = np.random.default_rng(number)

    def one(self, *choices: Any) -> Any:
        """Any of them; what is a function is called."""
        chosen = self.random.choice(choices)
        return chosen() if callable(chosen) else chosen

    def some(self, word: str, **arguments: Any) -> dict[str, Any]:
        """A word with some of its arguments; those that are lists have one of the list."""
        drawn: dict[str, Any] = {"type": word}
        for name, values in arguments.items():
            if self.random.random() < 0.4:
                drawn[name] = self.one(*values)
        return drawn

    def size(self, most: int, axes: int, least: int = 1) -> Any:
        """A number, or one for each axis."""
        drawn = [self.random.randint(least, most) for _ in range(axes)]
        return self.one(drawn[0], drawn)

    def specification(self) -> Specification:
        """One of them."""
        rows, iterations = self.random.randint(5, 16), self.random.randint(1, 12)
        axes = self.one(1, 1, 2, 3, 3)
        shape = tuple(self.random.randint(1, 6) for _ in range(axes))
        target, loss, outputs = self.target(rows)
        layers, _ = self.layers(shape, 0)
        last = ["log_softmax"] if loss["type"] == "nll_loss" else []
        values = self.numbers.normal(size=(rows, *shape)) * self.one(1, 1, 1, 100, 1e30, 1e-30, 0)
        return {
            "dataset": {"x": values.tolist(), "y": target},
            "model": [*layers, {"type": "linear", "out_features": outputs}, *last],
            "loss": loss,
            "optimizer": self.optimizer(),
            "schedule": self.schedule(2 * iterations),
            "iterations": iterations,
            "batch_size": self.one("full", 1, 2, 3, rows, 40),
            "seed": self.random.randint(0, 2**63 - 1),
            **self.rest(iterations),
        }

    def target(self, rows: int) -> tuple[list[Any], dict[str, Any], int]:
        """y, the loss, and how many outputs it wants."""
        if self.one(True, False):
            width = self.random.randint(1, 3)
            y = self.numbers.normal(size=(rows, width)) * self.one(1, 1, 0, 1e10)
            losses = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
            return y.tolist(), {"type": self.one(*losses)}, width
        count = self.random.randint(2, 3)
        labels = self.one(["b", "a", "ä"], [7, -3, 2**53 + 1])
        y = [labels[i % count] for i in range(rows)]
        if count == 2 and self.one(True, False):
            return y, self.some("bce_with_logits", pos_weight=[0.1, 100.0]), 1
        weight = ["balanced", [0.3, 2.0, 1.0][:count]]
        if self.one(True, False):
            return y, self.some("nll_loss", weight=weight), count
        return y, self.some("cross_entropy", weight=weight, label_smoothing=[0.1, 1.0]), count

    def layers(self, shape: Shape, depth: int) -> tuple[list[Any], Shape]:
        """Up to three layers that fit one another, and what comes out."""
        found = []
        for _ in range(self.random.randint(0 if depth == 0 else 1, 3)):
            for _try in range(5):
                word = self.layer(shape, depth)
                try:
                    out = WORD.validate_python(word).output_shape(shape)
                except (ShapeError, ValidationError):
                    continue
                if math.prod(out) <= LARGEST:
                    found.append(word)
                    shape = out
                    break
        return found or ["tanh"], shape

    def layer(self, shape: Shape, depth: int) -> Any:
        """Any word, with arguments that may not fit."""
        axes = max(1, len(shape) - 1)
        choices = [*(["residual"] if depth < 2 else []), *(set(LAYERS) - {"residual", "embedding"})]
        word = self.random.choice(sorted(choices))
        if word == "residual":
            return {"type": word, "layers": self.layers(shape, depth + 1)[0]}
        needed: dict[str, Callable[[], Any]] = {
            "linear": lambda: {"out_features": self.random.randint(1, 5)},
            "conv1d": lambda: {"out_channels": self.one(1, 2, 6), "kernel_size": self.size(4, 1)},
            "conv2d": lambda: {"out_channels": self.one(1, 2, 6), "kernel_size": self.size(4, 2)},
            "max_pool1d": lambda: {"kernel_size": self.size(4, 1)},
            "max_pool2d": lambda: {"kernel_size": self.size(4, 2)},
            "avg_pool2d": lambda: {"kernel_size": self.size(4, 2)},
            "adaptive_avg_pool2d": lambda: {"output_size": self.one(1, 5, [3, None], [2, 7])},
            "group_norm": lambda: {"num_groups": self.one(1, 2)},
        }
        drawn = self.some(word, **self.optional(word, axes))
        return drawn | (needed[word]() if word in needed else {})

    def optional(self, word: str, axes: int) -> dict[str, list[Any]]:
        """Odd values of arguments that a layer need not be given."""
        kernel = {"stride": [self.size(3, axes)], "padding": [self.size(2, axes, 0)]}
        pool = {**kernel, "ceil_mode": [True]}
        same: list[Any] = ["same", self.size(2, axes, 0)]
        known: dict[str, dict[str, list[Any]]] = {
            "linear": {"bias": [False], "init": ["orthogonal", "zeros"]},
            "conv1d": {**kernel, "padding": same, "groups": [2], "bias": [False]},
            "conv2d": {**kernel, "padding": same, "groups": [2], "dilation": [2]},
            "max_pool1d": {**pool, "dilation": [2]},
            "max_pool2d": {**pool, "dilation": [2]},
            "avg_pool2d": {**pool, "count_include_pad": [False], "divisor_override": [3]},
            "batch_norm1d": {"affine": [False], "momentum": [0.0, 1.0], "eps": [1e-37]},
            "batch_norm2d": {"affine": [False], "momentum": [0.0, 1.0]},
            "layer_norm": {"elementwise_affine": [False], "bias": [False], "eps": [1e-37, 10.0]},
            "dropout": {"p": [0.0, 0.9, 0.9999]},
            "softmax": {"dim": [1, 2, -2]},
            "log_softmax": {"dim": [1, 2, -2]},
            "leaky_relu": {"negative_slope": [-0.5, 2.0]},
            "softplus": {"beta": [1e-30, 5.0], "threshold": [-1.0]},
            "flatten": {"start_dim": [1, 2], "end_dim": [-1, 2]},
        }
        return known.get(word, {})

    def optimizer(self) -> dict[str, Any]:
        """Any optimizer, at rates that may be far too high."""
        betas = [[0, 0], [0.5, 0.9], [0.0, 0.999999]]
        known: dict[str, dict[str, list[Any]]] = {
            "sgd": {"momentum": [0.9, 1.5], "dampening": [-1.0, 0.5]},
            "adam": {"betas": betas, "eps": [0.0], "amsgrad": [True]},
            "adamw": {"betas": betas, "eps": [1.0]},
            "rmsprop": {"alpha": [0.0], "eps": [0.0], "momentum": [0.9], "centered": [True]},
            "adagrad": {"lr_decay": [10.0], "initial_accumulator_value": [0.1], "eps": [0.0]},
            "nadam": {"betas": betas, "momentum_decay": [0.0, 50.0]},
            "radam": {"betas": betas, "decoupled_weight_decay": [True]},
            "lion": {"betas": betas},
        }
        word = self.random.choice(list(known))
        common = {"lr": [1e-3, 0.1, 30.0], "weight_decay": [0.01, 2.0]}
        return self.some(word, **common, **known[word])

    def schedule(self, length: int) -> dict[str, Any]:
        """Any schedule, also one that is longer than the job."""
        n = self.random.randint(1, length)
        drawn: dict[str, Any] = self.one(
            {"type": "constant"},
            self.some("cosine", t_max=[n], eta_min=[0.5]),
            {"type": "step", "step_size": n, "gamma": self.one(0.1, 1e38)},
            {"type": "multi_step", "milestones": [n, 1]},
            {"type": "exponential", "gamma": self.one(1.1, 1e-37)},
            self.some("linear", total_iters=[n], end_factor=[0.0]),
            self.some("polynomial", total_iters=[n], power=[1e-9, 400.0]),
            self.some("one_cycle", total_steps=[n], pct_start=[0.0, 0.6, 1.0], three_phase=[True])
            | {"max_lr": 0.1},
        )
        warmup: dict[str, Any] = self.one({}, {"warmup_iterations": n})
        return drawn | warmup

    def rest(self, iterations: int) -> dict[str, Any]:
        """Everything that ends a job, measures it, or changes its numbers."""
        return {
            **self.one({}, {"clip_grad_norm": self.one(0.01, 1e-30)}),
            **self.one({}, {"prepare": self.one("standardize", "min_max", "none")}),
            **self.one({}, {"precision": "bf16"}),
            **self.one({}, {"convergence": {"tolerance": self.one(1e-3, 0.5), "window": 2}}),
            "split": {"validation": 0.3},
            "evaluate_every": self.random.randint(1, iterations + 2),
            **self.one({}, {"early_stopping": {"patience": 2}}),
        }
