"""The jobs that tests, README and benchmarks speak of: specifications as a client posts them.

Fixed: what an acceptance test measured belongs to exactly these.
"""

from typing import Any

Specification = dict[str, Any]

DIGITS_MLP: Specification = {
    "name": "digits-mlp",
    "dataset": "digits",
    "split": {"validation": 0.1, "test": 0.2, "seed": 0},
    "model": {
        "layers": [
            {"type": "linear", "out_features": 64},
            {"type": "relu"},
            {"type": "linear", "out_features": 10},
        ]
    },
    "loss": {"type": "cross_entropy"},
    "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
    "schedule": {"type": "constant"},
    "batch_size": 64,
    "iterations": 1000,
    "seed": 0,
}

DIGITS_CNN: Specification = {
    "name": "digits-cnn",
    "dataset": "digits",
    "split": {"validation": 0.1, "test": 0.2, "seed": 0},
    "model": {
        "layers": [
            {"type": "conv2d", "out_channels": 12, "kernel_size": 3, "padding": 1, "bias": False},
            {"type": "batch_norm2d"},
            {"type": "relu"},
            {"type": "conv2d", "out_channels": 24, "kernel_size": 3, "padding": 1, "bias": False},
            {"type": "batch_norm2d"},
            {"type": "relu"},
            {"type": "max_pool2d", "kernel_size": 2},
            {"type": "flatten"},
            {"type": "dropout", "p": 0.3},
            {"type": "linear", "out_features": 10},
        ]
    },
    "loss": {"type": "cross_entropy"},
    "optimizer": {"type": "adamw", "lr": 0.01, "weight_decay": 0.01},
    "schedule": {"type": "cosine", "warmup_iterations": 20},
    "batch_size": 64,
    "epochs": 18,
    "seed": 0,
}


def small_mlp(dataset: str, outputs: int, **sections: Any) -> Specification:
    """One hidden layer on a small table."""
    return {
        "name": dataset.replace("_", "-"),
        "dataset": dataset,
        "split": {"test": 0.3, "seed": 0},
        "model": [
            {"type": "linear", "out_features": 16},
            {"type": "tanh"},
            {"type": "linear", "out_features": outputs},
        ],
        "loss": "cross_entropy",
        "optimizer": {"type": "adamw", "lr": 0.01, "weight_decay": 1.0},
        "batch_size": 32,
        "iterations": 300,
        "seed": 0,
        **sections,
    }


IRIS = small_mlp("iris", 3)
WINE = small_mlp("wine", 3)
BREAST_CANCER = small_mlp("breast_cancer", 2)
DIABETES = small_mlp("diabetes", 1, loss="mse_loss")

ONE_WEIGHT: Specification = {
    "name": "one-weight",
    "dataset": {"x": [[1.0]], "y": [[4.0]]},
    "model": [
        {
            "type": "linear",
            "out_features": 1,
            "bias": False,
            "init": {"type": "constant", "value": 2.0},
        }
    ],
    "loss": "mse_loss",
    "optimizer": {"type": "sgd", "lr": 0.1},
    "batch_size": "full",
    "iterations": 50,
}


def with_seed(specification: Specification, seed: int) -> Specification:
    """The same job from another start, on another split of the data."""
    split = specification.get("split", {})
    return {**specification, "seed": seed, "split": {**split, "seed": seed}}
