"""In which order a checkpoint comes to the disk and to the database, as the system sees it.

``strace`` is attached to the process that trains, here the test's own, and shows its real calls.
Where there is none, it is skipped with that sentence; ``test_nth_call.py`` needs only Python.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from app.database.session import Database
from app.tables import Checkpoint
from tests.servers import eventually
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess

CALLS = "open,openat,rename,fsync,fdatasync,write,pwrite64,sendto,close"
FULL_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += +(-?\d+)")
BEGUN = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += +(-?\d+)")

Call = tuple[str, str, int]
"""Its name, its arguments as text, what it returned."""


@contextmanager
def traced(pid: int, to: Path) -> Iterator[None]:
    """Every call of a process meanwhile."""
    command = ["strace", "-f", "-s", "9000", "-o", str(to), "-e", f"trace={CALLS}", "-p", str(pid)]
    errors = to.with_suffix(".err")
    with errors.open("wb") as output:
        tracer = subprocess.Popen(command, stderr=output, start_new_session=True)
    try:
        eventually(lambda: "attached" in errors.read_text() or tracer.poll(), "strace is attached")
        if tracer.poll() is not None:
            pytest.skip(f"strace may not look at a process here: {errors.read_text()[:200]}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def calls(trace: Path) -> list[Call]:
    """In the order in which they ended."""
    found, begun = list[Call](), dict[tuple[str, str], str]()
    for line in trace.read_text(errors="replace").splitlines():
        if whole := FULL_LINE.match(line):
            found.append((whole[2], whole[3], int(whole[4])))
        elif start := BEGUN.match(line):
            begun[start[1], start[2]] = start[3]
        elif end := RESUMED.match(line):
            found.append((end[2], begun.pop((end[1], end[2]), "") + end[3], int(end[4])))
    return found


def course(found: list[Call], location: str) -> list[str]:
    """What happened with a checkpoint, in order, until a commit."""
    folder, name = location.rsplit("/", 1)
    temporary, steps = f'/{folder}/.{name}.tmp"', list[str]()
    mine = of_folder = -1
    for call, text, result in found:
        if call.startswith("open") and temporary in text:
            mine = result
            steps.append("open")
        elif mine >= 0 and steps[-1] != "named" and text.split(",")[0] == str(mine):
            steps += [call] if call in ("write", "fsync") and steps[-1] != call else []
            mine = -1 if call == "close" else mine
        elif call == "rename" and temporary in text and text.endswith(f'/{folder}/{name}"'):
            steps.append("rename")
        elif call.startswith("open") and f'/{folder}"' in text and steps[-1:] == ["rename"]:
            of_folder = result
        elif call == "fsync" and text == str(of_folder) and steps[-1:] == ["rename"]:
            steps.append("fsync of the folder")
        elif call in ("sendto", "pwrite64") and name in text and steps[-1:] != ["row"]:
            steps.append("row")
        elif steps[-1:] == ["row"] and commits(call, text):
            return [*steps, "COMMIT"]
    return steps


def commits(call: str, text: str) -> bool:
    """PostgreSQL is told so; SQLite brings its log to the disk."""
    return (call == "sendto" and "COMMIT" in text) or call in ("fdatasync", "fsync")


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
def test_a_checkpoint_is_on_the_disk_before_its_row_is_committed(
    child: WorkerProcess, rows: Database, make_job: MakeJob, tmp_path: Path
) -> None:
    plan = check({**ONE_WEIGHT, "iterations": 600, "checkpoint_every_seconds": 0})
    make_job(spec=plan.spec.model_dump(mode="json"), iterations=plan.iterations)
    with traced(os.getpid(), tmp_path / "trace"):
        assert train_next(child)
    with rows.session(write=False) as session:
        saved = session.scalars(select(Checkpoint.location)).all()
    found = calls(tmp_path / "trace")
    assert len(saved) > 1
    expected = ["open", "write", "fsync", "rename", "fsync of the folder", "row", "COMMIT"]
    for location in saved:
        assert course(found, location) == expected
