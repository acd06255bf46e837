"""What the jobs are made of: layers, the shares of a split, and made-up data."""

from typing import Any

import numpy as np

Specification = dict[str, Any]

TABLE_ID = "the uploaded table"
SPLIT = {"validation": 0.2, "test": 0.2, "seed": 3}


def series(rows: int, channels: int, length: int) -> list[Any]:
    """Made-up series [rows, channels, length]."""
    values: list[Any] = np.random.default_rng(1).normal(size=(rows, channels, length)).tolist()
    return values


def words(rows: int, length: int, many: int) -> list[list[int]]:
    """Made-up texts: `length` whole numbers below `many` a row."""
    numbers: list[list[int]] = np.random.default_rng(2).integers(many, size=(rows, length)).tolist()
    return numbers


def table(rows: int) -> str:
    """A CSV with numbers, categories, booleans and missing values, and a number to predict."""
    draw = np.random.default_rng(4)
    lines = ["area,rooms,town,garden,price"]
    for _ in range(rows):
        area, rooms = draw.uniform(30, 200), int(draw.integers(1, 7))
        town = ("Ulm", "Köln", "Rom")[int(draw.integers(3))]
        garden = bool(draw.integers(2))
        price = 2 * area + 9 * rooms + 40 * garden + draw.normal(scale=9) + 20 * len(town)
        shown = "" if draw.random() < 0.1 else f"{area:.1f}"
        lines.append(f"{shown},{rooms},{town},{str(garden).lower()},{price:.2f}")
    return "\n".join(lines) + "\n"


TABLE = table(160)


def linear(outputs: int, **arguments: Any) -> Specification:
    """A linear layer."""
    return {"type": "linear", "out_features": outputs, **arguments}


def conv2d(channels: int, **arguments: Any) -> Specification:
    """A convolution of images that keeps their size."""
    return {
        "type": "conv2d",
        "out_channels": channels,
        "kernel_size": 3,
        "padding": 1,
        **arguments,
    }
