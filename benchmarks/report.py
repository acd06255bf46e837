"""What a run of ``make bench`` leaves: a table to read, and all of its numbers as JSON."""

import json
import os
import platform
import sqlite3
import statistics
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.goals import ROOT, Goal, Measured, peers
from training.tensors import numerics

RESULTS = ROOT / "benchmarks" / "results"
OURS = ("torch", "numpy", "sqlalchemy", "celery", "redis", "fastapi", "uvicorn", "pydantic")
THEIRS = ("torch", "mlflow", "ray", "litserve", "fastapi", "uvicorn")

Row = tuple[str, str, str, str, str, str]
HEAD: Row = ("goal", "ours", "theirs", "ratio", "min–max", "verdict")
WIDTHS = (6, 11, 11, 9, 15, 0)


def line(row: Row) -> str:
    """One of the table."""
    return "  ".join(cell.ljust(width) for cell, width in zip(row, WIDTHS, strict=True)).rstrip()


def row(measured: Measured) -> Row:
    """What a goal came to: medians, and the range of the ratios."""
    ours, theirs = (
        statistics.median(getattr(one, side) for one in measured.rounds)
        for side in ("ours", "theirs")
    )
    ratios = measured.ratios
    return (
        measured.goal.number,
        spoken(ours),
        spoken(theirs),
        f"{statistics.median(ratios):.2f}×",
        f"{min(ratios):.2f}–{max(ratios):.2f}",
        f"{measured.verdict} (goal ≥ {measured.goal.least:g}×, {len(ratios)} rounds)",
    )


def figures(measured: Measured) -> list[str]:
    """What else was measured, a line each."""
    bounds = measured.goal.bounds
    lines = []
    for name, middle in measured.figures.items():
        values = [r.figures[name] for r in measured.rounds if name in r.figures]
        goal = f"  (goal {bounds[name]})" if name in bounds else ""
        lines.append(f"        {name} {middle:.4g}, {min(values):.4g}–{max(values):.4g}{goal}")
    return lines


def legend(one: Goal) -> str:
    """What is measured against what."""
    return f"{one.number}: {one.what}, against {one.against}"


def spoken(seconds: float) -> str:
    """A time as one reads it."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def machine() -> dict[str, Any]:
    """The hardware, and how busy it was."""
    found: dict[str, Any] = {
        "processor": numerics.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def versions() -> dict[str, Any]:
    """Of both sides."""
    theirs = peers()
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in OURS},
        "peers": {name: theirs[name] for name in THEIRS if name in theirs},
    }


def write(all_measured: list[Measured], before: dict[str, Any], absent: dict[str, str]) -> Path:
    """The JSON, named by the time; ``before``: the machine as it was found, ``absent``: goals that
    were not measured, and why."""
    goals = [
        {
            "goal": one.goal.number,
            "what": one.goal.what,
            "against": one.goal.against,
            "least": one.goal.least,
            "bounds": {name: str(bound) for name, bound in one.goal.bounds.items()},
            "ratio": statistics.median(one.ratios),
            "figures": one.figures,
            "verdict": one.verdict,
            "rounds": [asdict(this) | {"ratio": this.ratio} for this in one.rounds],
        }
        for one in all_measured
    ]
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    content = {"machine": before, "versions": versions(), "goals": goals, "not_measured": absent}
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return file
