"""How much memory jobs take: in a process of their own, above what a warm worker has anyway.

``python -m tests.training.peak`` reads a list of specifications and writes a list of bytes.
"""

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.databases import ROOT
from training.engine.job import TrainingJob
from training.engine.loop import group_of, train
from training.spec.plan import Segment
from training.tensors.data import load
from training.tensors.numerics import Numerics, configure
from training.validation.check import UNLIMITED, check


def measured(specifications: list[Any]) -> list[int]:
    """The peak of each job's resident memory above that of a warm process, in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.peak"],
        input=json.dumps(specifications),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    peaks: list[int] = json.loads(done.stdout)
    return peaks


def resident(field: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field))
    return 1024 * int(line.split()[1])


def peak(raw: Any) -> int:
    """Of one job."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    plan, numerics = check(raw, UNLIMITED), Numerics.on("cpu")
    for _ in train([Segment(plan)], load(plan, numerics), numerics):
        pass
    return resident("VmHWM") - before


def warm_up() -> None:
    """A small job, so that everything is imported."""
    plan, numerics = (
        check(
            {
                "dataset": "iris",
                "model": [{"type": "linear", "out_features": 3}],
                "loss": "cross_entropy",
                "optimizer": "adam",
                "iterations": 2,
            }
        ),
        Numerics.on("cpu"),
    )
    job = TrainingJob(plan, load(plan, numerics), numerics)
    group = group_of([job])
    group.trace([job.beginning()])
    group.blocks([job.beginning()], 0)


if __name__ == "__main__":
    configure()
    warm_up()
    json.dump([peak(raw) for raw in json.load(sys.stdin)], sys.stdout)
