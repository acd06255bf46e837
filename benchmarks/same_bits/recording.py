"""What a job has left, as a client has it: every series as raw float32, and the model's hash."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.same_bits.service import Broken, Document, Service

ARROW = "application/vnd.apache.arrow.stream"


class Series(NamedTuple):
    """A recorded series of N points: iterations int64 [N], ascending, and float32 values [N]."""

    iterations: NDArray[np.int64]
    values: NDArray[np.float32]

    def before(self, end: int | None) -> "Series":
        """The points of iterations below `end`; all of them without one."""
        if end is None:
            return self
        kept = self.iterations < end
        return Series(self.iterations[kept], self.values[kept])


class Record(NamedTuple):
    """What a job has left.

    `outcome`: state, final values and code of the error, as JSON. `numerics`: the class of
    `execution`; `group`: how many jobs were last trained side by side.
    """

    series: dict[str, Series]
    model: str | None
    outcome: Document
    state: str
    iteration: int
    numerics: str | None
    group: int


def read_record(service: Service, job_id: str) -> Record:
    """Wait for a job to end, however it ends, and read all that is compared of it."""
    job = service.ended(job_id)
    execution = job["execution"] or {}
    return Record(
        series=read_series(service, job),
        model=read_model_hash(service, job["model"]) if job["model"] else None,
        outcome=outcome(job),
        state=job["state"],
        iteration=job["progress"]["iteration"],
        numerics=execution.get("class"),
        group=execution.get("group", 0),
    )


def read_series(service: Service, job: Document) -> dict[str, Series]:
    """Every series of a job; its document names them in `latest`."""
    names = sorted(job["latest"])
    if not names:
        return {}
    answer = service.ask(
        "GET",
        f"/v1/jobs/{job['id']}/metrics",
        params={"series": ",".join(names)},
        headers={"Accept": ARROW},
    )
    with pa.ipc.open_stream(answer.content) as reader:
        table = reader.read_all()
    return {name: points(table.select(["iteration", name])) for name in names}


def points(table: pa.Table) -> Series:
    """The rows of a table with two columns that have a value."""
    iterations, values = (column.to_numpy() for column in table.drop_null().columns)
    if values.dtype != np.float32:
        raise Broken(f"a series was answered as {values.dtype}, not as float32")
    return Series(iterations, values)


def read_model_hash(service: Service, model: Document) -> str:
    """SHA-256 of a version's file, which must be the one that its document says."""
    path = f"/v1/models/{model['name']}/versions/{model['version']}"
    told = str(service.get(path)["sha256"])
    content = service.ask("GET", f"{path}/download", params={"format": "safetensors"}).content
    found = hashlib.sha256(content).hexdigest()
    if found != told:
        raise Broken(f"{path} says the SHA-256 {told}, but its file has {found}")
    return found


def outcome(job: Document) -> Document:
    """How a job ended, without times, ids and names."""
    error: dict[str, Any] = job["error"] or {}
    return {
        "state": job["state"],
        "error": [error.get("category"), error.get("code"), error.get("iteration")],
        "iteration": job["progress"]["iteration"],
        **{name: job[name] for name in ("latest", "best", "result")},
    }
