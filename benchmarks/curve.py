"""A curve of a million iterations, to draw it: ``points=2000`` against every point and LTTB.

Both sides ask the same service, over HTTP, on SQLite. The other side takes the fastest form in
which a service can give every point, an Arrow stream of float32, reads it without a copy, and
thins it out with the largest triangles of three buckets (Steinarsson, 2013), each bucket's areas
by numpy at once, as a user would. That it leaves out a spike or a NaN is not held against it;
that ours keeps every one is checked in every round, bucket by bucket.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.database.session import Database
from app.tables import Job
from benchmarks.goals import Round, goal, in_turn, timed
from tests.databases import KINDS
from tests.series import record_all
from tests.service import Service, running

LENGTH, POINTS = 1_000_000, 2_000
ARROW = "application/vnd.apache.arrow.stream"
SPECIFICATION = {
    "dataset": {"x": [[1.0], [2.0]], "y": [[2.0], [4.0]]},
    "model": [{"type": "linear", "out_features": 1}],
    "loss": "mse_loss",
    "optimizer": {"type": "sgd", "lr": 1e-6},
    "iterations": LENGTH,
}
Floats = NDArray[np.floating]


def losses() -> NDArray[np.float32]:
    """Falling and noisy, with spikes, a NaN and an infinity."""
    n = np.arange(LENGTH)
    noise = np.random.default_rng(0).normal(size=LENGTH)
    values = 2 / (1 + n / 5_000) + 0.1 + 0.02 * noise
    values[[123_456, 500_001, 999_998]] = 40.0, -3.0, 7.0
    values[[777_777, 888_888]] = np.nan, np.inf
    return values.astype(np.float32)


class Reader:
    """Somebody who wants to see the curve."""

    def __init__(self, service: Service, values: NDArray[np.float32]) -> None:
        self.http, self.values = service.http, values
        posted = service.http.post("/v1/jobs", json=SPECIFICATION)
        posted.raise_for_status()
        job_id = posted.json()["id"]
        self.path = f"/v1/jobs/{job_id}/metrics"
        database = Database(service.database_url)
        with database.session() as session:
            job = session.get_one(Job, job_id)
            job.iteration, job.state = LENGTH, "succeeded"
            record_all(session, job, [("loss", 0, 1, values)])
        database.dispose()
        self.seen: tuple[list[int], list[float]] = ([], [])

    def look(self) -> None:
        """Our side."""
        answer = self.http.get(self.path, params={"points": POINTS}).raise_for_status().json()
        points: dict[str, Any] = answer["series"]["loss"]
        self.seen = points["iteration"], list(map(float, points["value"]))
        assert answer["count"] == {"loss": LENGTH}

    def read_all(self) -> None:
        """The other side."""
        iterations, values = self.every_point()
        shown = lttb(iterations, values, POINTS)
        assert len(shown) == POINTS

    def every_point(self) -> tuple[NDArray[np.int64], Floats]:
        """As arrays."""
        answer = self.http.get(self.path, headers={"Accept": ARROW}).raise_for_status()
        table = pa.ipc.open_stream(answer.content).read_all().combine_chunks()
        assert table.num_rows == LENGTH
        return table["iteration"].to_numpy(), table["loss"].to_numpy()

    def nothing_is_lost(self) -> None:
        """Every value lies between two that are shown, within a bucket and a third of it."""
        at, shown = np.array(self.seen[0]), np.array(self.seen[1])
        assert len(at) <= POINTS
        assert (shown.astype(np.float32).tobytes()) == self.values[at].tobytes()
        reach = int(LENGTH / ((POINTS - 2) // 2) * 4 / 3 + 1)
        finite = np.isfinite(self.values)
        for low in range(0, LENGTH, 1000):
            near = shown[(at >= low - reach) & (at < low + 1000 + reach)]
            own = self.values[low : low + 1000][finite[low : low + 1000]]
            near_finite = near[np.isfinite(near)]
            assert near_finite.min() <= own.min()
            assert near_finite.max() >= own.max()
        assert {777_777, 888_888, 123_456, 500_001, 999_998} <= set(at.tolist())


def lttb(x: NDArray[np.int64], y: Floats, most: int) -> NDArray[np.intp]:
    """Which points to draw: of each bucket the one that makes the largest triangle with the one
    chosen before and the average of the next bucket."""
    edges = np.linspace(1, len(x) - 1, most - 1).astype(np.intp)
    ends = np.append(edges[1:], len(x))
    means = [(x[a:b].mean(), y[a:b].mean()) for a, b in zip(edges, ends, strict=True)]
    chosen = np.empty(most, dtype=np.intp)
    chosen[0], chosen[-1] = 0, len(x) - 1
    last = 0
    for number in range(most - 2):
        begin, end = edges[number], edges[number + 1]
        next_x, next_y = means[number + 1]
        with np.errstate(invalid="ignore"):
            areas = np.abs(
                (x[last] - next_x) * (y[begin:end] - y[last])
                - (x[last] - x[begin:end]) * (next_y - y[last])
            )
        last = chosen[number + 1] = begin + np.argmax(areas)
    return chosen


@goal(
    "P7",
    "a curve of a million iterations → 2 000 points over HTTP, every extreme kept",
    against="every point as Arrow over HTTP, and LTTB in Python",
    least=20.0,
)
def drawn() -> Iterator[Round]:
    """Five looks a round, for they are short."""
    with KINDS["sqlite"]() as kind, kind.empty() as url, running(url, workers=0) as service:
        reader = Reader(service, losses())
        iterations, values = reader.every_point()
        assert values.tobytes() == reader.values.tobytes()
        assert np.array_equal(iterations, np.arange(LENGTH))

        def looks() -> float:
            began = time.perf_counter()
            for _ in range(5):
                reader.look()
            return (time.perf_counter() - began) / 5

        looks()
        for one in in_turn(looks, timed(reader.read_all)):
            reader.nothing_is_lost()
            yield replace(one, figures={"ms": 1000 * one.ours, "ms of all": 1000 * one.theirs})
