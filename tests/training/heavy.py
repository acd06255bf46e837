"""Jobs that each take a good deal of memory for another reason."""

from typing import Any

import numpy as np

from tests.specifications import Specification

OUT = {"type": "linear", "out_features": 10}


def dense(width: int) -> dict[str, Any]:
    return {"type": "linear", "out_features": width}


def conv(channels: int, **arguments: Any) -> dict[str, Any]:
    return {
        "type": "conv2d",
        "out_channels": channels,
        "kernel_size": 3,
        "padding": 1,
        **arguments,
    }


def block(*layers: Any) -> dict[str, Any]:
    return {"type": "residual", "layers": list(layers)}


def job(*model: Any, **sections: Any) -> Specification:
    """A digits classifier."""
    return {
        "dataset": "digits",
        "split": {"validation": 0.1},
        "model": list(model),
        "loss": "cross_entropy",
        "optimizer": {"type": "sgd", "lr": 0.01},
        "batch_size": 64,
        "iterations": 12,
        **sections,
    }


def table(rows: int, features: int) -> dict[str, Any]:
    """Made-up data, in the specification itself."""
    x = np.random.default_rng(0).normal(size=(rows, features)).round(3)
    return {"x": x.tolist(), "y": x[:, :1].tolist()}


HEAVY: dict[str, Specification] = {
    "parameters, sgd": job(dense(4000), "relu", dense(4000), "relu", OUT),
    "normal first values": job(dense(3000), {**dense(3000), "init": "kaiming_normal"}, OUT),
    "parameters, adam": job(
        dense(3000), "relu", dense(3000), "tanh", OUT, optimizer={"type": "adam", "lr": 1e-4}
    ),
    "parameters, rmsprop": job(
        dense(2500),
        "relu",
        dense(2500),
        OUT,
        optimizer={"type": "rmsprop", "lr": 1e-4, "centered": True, "momentum": 0.9},
        early_stopping={"patience": 50},
        evaluate_every=1,
    ),
    "convolutions": job(
        conv(64), "batch_norm2d", "relu", conv(64), "batch_norm2d", "relu", OUT, batch_size=1024
    ),
    "residual blocks": job(
        conv(32),
        block(conv(32), {"type": "group_norm", "num_groups": 4}, "silu", conv(32)),
        "gelu",
        block(conv(64, stride=2), "leaky_relu"),
        {"type": "adaptive_avg_pool2d", "output_size": 2},
        OUT,
        batch_size=1500,
        optimizer="adamw",
    ),
    "a large batch": job(
        dense(512), "relu", dense(512), "tanh", OUT, batch_size=20_000, iterations=6
    ),
    "dropout": job(
        dense(512),
        "gelu",
        {"type": "dropout", "p": 0.2},
        dense(512),
        {"type": "layer_norm"},
        {"type": "dropout", "p": 0.5},
        OUT,
        batch_size=8_000,
        iterations=6,
    ),
    "an embedding": job(
        {"type": "embedding", "num_embeddings": 100_000, "embedding_dim": 64},
        "flatten",
        OUT,
        optimizer={"type": "adamw", "lr": 1e-3},
    ),
    "evaluation": job(
        dense(2048),
        "sigmoid",
        dense(1024),
        dense(1),
        dataset=table(16_000, 20),
        split={"validation": 0.7},
        loss="mse_loss",
        batch_size=32,
        evaluate_every=5,
    ),
    "data": job(
        dense(8),
        dense(1),
        dataset=table(40_000, 100),
        split={"validation": 0.2},
        prepare="standardize",
        loss="mse_loss",
    ),
    "series": job(
        {"type": "conv1d", "out_channels": 64, "kernel_size": 3, "padding": 1},
        "softplus",
        {"type": "max_pool1d", "kernel_size": 2},
        {"type": "conv1d", "out_channels": 64, "kernel_size": 3, "padding": 1},
        "batch_norm1d",
        "elu",
        dense(1),
        dataset={
            "x": np.random.default_rng(0).normal(size=(600, 2, 64)).round(3).tolist(),
            "y": [[float(i % 7)] for i in range(600)],
        },
        split={"validation": 0.2},
        loss="mse_loss",
        batch_size=1000,
    ),
}
