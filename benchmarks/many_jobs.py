"""P1 and P2: 32 tiny jobs through the whole service, against what people write by hand.

Ours: an embedded service (SQLite, ``synchronous=FULL``, two training processes of one thread). The
clock starts before the first of 32 POSTs and stops when all of them are seen to have succeeded:
every loss of every iteration is durable then, and every model stored. *Warm*: jobs of this shape
were trained before. *Cold*: the service has just become ready, and has never seen this network.

P1, theirs: two processes that have imported torch and trained once; each trains 16 of the 32 by the
loop of ``benchmarks.textbook``. P2, theirs: ``python textbook.py`` a job, two at a time. Both are
spared what ours is for: they keep no loss and no model, and answer to nobody.

Both sides train the same networks on the same table, with the same rates; the means of the last
losses must agree.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.goals import Bound, Round, agree, goal, in_turn
from fallline import Client
from fallline.local.service import LocalService

JOBS, PROCESSES = 32, 2
ROWS, FEATURES, CLASSES = 1000, 20, 3
LOOP = Path(__file__).with_name("textbook.py")
RATES = np.geomspace(3e-4, 3e-3, JOBS).round(6)
EQUAL = 0.1
"""The part by which the means of the last losses may differ: they begin with other weights."""


@goal(
    "P1",
    "32 tiny MLP jobs, first POST to last commit, every loss durable: warm",
    against="two warm processes, textbook eager loop, nothing kept",
    least=4.0,
    cold_x=Bound(least=4.0),
)
def many_jobs() -> Iterator[Round]:
    """Rounds of 32 jobs; a service a round that has never seen such jobs says ``cold_x``;
    ``batch_x``: the same, warm, sent as one batch."""
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as folder, ExitStack() as stack:
        made = Table(Path(folder))
        client = stack.enter_context(service(Path(folder) / "home"))
        dataset = client.datasets.upload(made.csv, target="y").id
        loops = stack.enter_context(processes(made))
        through_the_service(client, dataset), by_hand(loops)
        found = dict[str, float]()

        def ours() -> float:
            seconds, found["ours"] = through_the_service(client, dataset)
            return seconds

        def theirs() -> float:
            seconds, found["theirs"] = by_hand(loops)
            return seconds

        for number, this in enumerate(in_turn(ours, theirs)):
            agree(found["ours"], found["theirs"], EQUAL)
            first = cold(Path(folder) / f"home{number}", made)
            at_once, _ = through_the_service(client, dataset, batch=True)
            figures = {"cold_x": this.theirs / first, "cold_s": first}
            figures |= {"batch_x": this.theirs / at_once, "batch_s": at_once}
            yield Round(this.ours, this.theirs, figures=figures)


def cold(home: Path, made: "Table") -> float:
    """Seconds of the 32 jobs on a service that has just started."""
    with service(home) as client:
        return through_the_service(client, client.datasets.upload(made.csv, target="y").id)[0]


@goal(
    "P2",
    "the same 32 jobs: warm",
    against="python train.py a job, two at a time",
    least=15.0,
)
def scripts() -> Iterator[Round]:
    """One start of Python and torch a job."""
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as folder, ExitStack() as stack:
        made = Table(Path(folder))
        client = stack.enter_context(service(Path(folder) / "home"))
        dataset = client.datasets.upload(made.csv, target="y").id
        through_the_service(client, dataset)
        yield from in_turn(
            lambda: through_the_service(client, dataset)[0], lambda: a_process_a_job(made)
        )


class Table:
    """Made-up examples of three classes, as either side reads them."""

    def __init__(self, folder: Path) -> None:
        draw = np.random.default_rng(0)
        x = draw.normal(size=(ROWS, FEATURES)).astype(np.float32)
        scores = x @ draw.normal(size=(FEATURES, CLASSES)) + 2 * draw.normal(size=(ROWS, CLASSES))
        y = scores.argmax(1)
        self.csv, self.npz = folder / "table.csv", folder / "table.npz"
        lines = [",".join([*(f"x{i}" for i in range(FEATURES)), "y"])]
        lines += [
            ",".join([*map(repr, row), f"c{label}"])
            for row, label in zip(x.tolist(), y, strict=True)
        ]
        self.csv.write_text("\n".join([*lines, ""]))
        np.savez(self.npz, x=(x - x.mean(0)) / x.std(0), y=y)


@contextmanager
def service(home: Path) -> Iterator[Client]:
    """A service of its own, warm."""
    settings = {"FALLLINE_WORKER_PROCESSES": str(PROCESSES)}
    with (
        LocalService(home, port=0, settings=settings) as embedded,
        Client(embedded.url, embedded.key) as client,
    ):
        yield client


def through_the_service(
    client: Client, dataset: str, *, batch: bool = False
) -> tuple[float, float]:
    """Seconds, and the mean of the last losses; ``batch``: by one POST."""
    specifications = [specification(dataset, k) for k in range(JOBS)]
    began = time.perf_counter()
    if batch:
        jobs = list(client.jobs.batch(specifications))
    else:
        jobs = [client.jobs.create(one) for one in specifications]
    ended = [job.wait() for job in jobs]
    seconds = time.perf_counter() - began
    assert {job.state for job in ended} == {"succeeded"}
    last = [np.mean(job.points().values[-50:]) for job in jobs]
    return seconds, float(np.mean(last))


def specification(dataset: str, k: int) -> dict[str, Any]:
    """The k-th job."""
    hidden = [{"type": "linear", "out_features": 64}, "relu"]
    return {
        "dataset": dataset,
        "prepare": "standardize",
        "model": [*hidden, *hidden, {"type": "linear", "out_features": CLASSES}],
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "lr": float(RATES[k])},
        "batch_size": 32,
        "iterations": 2000,
        "seed": k,
    }


Loops = list["subprocess.Popen[str]"]


@contextmanager
def processes(made: Table) -> Iterator[Loops]:
    """Two that wait for jobs, warm."""
    with ExitStack() as stack:
        loops = []
        for _ in range(PROCESSES):
            loop = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(LOOP), str(made.npz)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(loop.kill)
            loops.append(loop)
        for loop in loops:
            assert loop.stdout is not None
            assert loop.stdout.readline() == "warm\n"
        yield loops


def by_hand(loops: Loops) -> tuple[float, float]:
    """Seconds, and the mean of the last losses; half of the jobs each."""

    def half(which: int) -> list[float]:
        loop, mine = loops[which], range(which, JOBS, PROCESSES)
        assert loop.stdin is not None
        assert loop.stdout is not None
        loop.stdin.write("".join(f"{k} {RATES[k]}\n" for k in mine))
        loop.stdin.flush()
        return [float(loop.stdout.readline()) for _ in mine]

    began = time.perf_counter()
    with ThreadPoolExecutor(PROCESSES) as pool:
        losses = [loss for part in pool.map(half, range(PROCESSES)) for loss in part]
    return time.perf_counter() - began, float(np.mean(losses))


def a_process_a_job(made: Table) -> float:
    """Seconds."""

    def one(k: int) -> None:
        arguments = [sys.executable, str(LOOP), str(made.npz), str(k), str(RATES[k])]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    began = time.perf_counter()
    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(one, range(JOBS)))
    return time.perf_counter() - began
