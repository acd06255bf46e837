"""Tables that tests upload."""

from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from tests.app.talk import Document
from tests.service import Service
from tests.specifications import Specification

CSV = {"Content-Type": "text/csv"}


def people(rows: int = 240, seed: int = 0) -> str:
    """A table with every kind of column; what is bought follows from age, city and membership."""
    draw = np.random.default_rng(seed)
    lines = ["id,age,city,member,income,bought"]
    for i in range(rows):
        age, city = int(draw.integers(18, 80)), str(draw.choice(["Oslo", "Bergen", "Tromsø"]))
        member, income = bool(draw.integers(2)), round(float(draw.normal(50, 12)), 1)
        likes = (age > 45) + (city == "Oslo") + member + (income > 50) >= 2
        cells = [
            f"p{i}",
            str(age),
            city,
            str(member).lower(),
            str(income),
            "yes" if likes else "no",
        ]
        if i % 17 == 5:
            cells[1] = ""
        if i % 23 == 7:
            cells[2] = "NA"
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def houses(rows: int = 200, seed: int = 0) -> str:
    """Numbers from numbers, separated by semicolons."""
    draw = np.random.default_rng(seed)
    area, rooms = draw.uniform(20, 200, rows).round(1), draw.integers(1, 8, rows)
    price = (3_000 * area + 10_000 * rooms + draw.normal(0, 5_000, rows)).round(2)
    lines = [f"{a};{r};{p}" for a, r, p in zip(area, rooms, price, strict=True)]
    return "area;rooms;price\n" + "\n".join(lines) + "\n"


def sent(
    client: httpx2.Client, content: Any, target: str = "y", headers: Any = CSV, **query: Any
) -> httpx2.Response:
    """The answer to an upload."""
    if isinstance(content, str):
        content = content.encode()
    query = {"target": target, **query}
    return client.post("/v1/datasets", params=query, content=content, headers=headers)


def uploaded(service: Service, content: Any, target: str = "y", **query: Any) -> Document:
    """A data set that was taken."""
    answer = sent(service.http, content, target, **query)
    assert answer.status_code == 201, answer.text
    document: Document = answer.json()
    return document


def kept(service: Service) -> set[Path]:
    """The files of data sets, whole or not."""
    roots = [service.home / "objects" / folder for folder in ("dataset", "spool")]
    found = {path for root in roots for path in root.rglob("*") if path.is_file()}
    return {path for path in found if path.name != ".lock"}


def classifier(dataset: str, **sections: Any) -> Specification:
    """Whether somebody buys."""
    return {
        "name": "buyers",
        "dataset": dataset,
        "split": {"validation": 0.1, "test": 0.2},
        "model": [
            {"type": "linear", "out_features": 16},
            "tanh",
            {"type": "linear", "out_features": 2},
        ],
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "lr": 0.02},
        "batch_size": 16,
        "iterations": 200,
        **sections,
    }
