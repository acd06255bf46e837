"""The client's jobs: `client.jobs.…`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from fallline.answers import (
    TERMINAL,
    Job,
    Metrics,
    Page,
    Points,
    Predictions,
    job_of,
    joined,
    metrics_of,
    numbers,
    predictions_of,
)
from fallline.transport import Transport


class Jobs:
    """Create, watch, steer and question jobs. Every method may raise `ApiError`, `Unreachable`."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def create(self, spec: Mapping[str, Any]) -> Job:
        """Post a job specification; all its mistakes come back at once in an `ApiError`."""
        return job_of(self._http.json("POST", "/v1/jobs", body=spec))

    def get(self, job: str) -> Job:
        """The job as it is now."""
        return job_of(self._http.json("GET", path(job)))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Page:
        """One page of the jobs, newest first; `after` is the `next` of the page before."""
        params = {"limit": limit, "after": after}
        answer = self._http.json("GET", "/v1/jobs", params=params)
        return Page(
            data=[job_of(each) for each in answer["data"]],
            has_more=answer["has_more"],
            next=answer["next"],
        )

    def cancel(self, job: str) -> Job:
        """Ask a job to stop; it is `cancelling` until its worker has stopped."""
        return job_of(self._http.json("POST", f"{path(job)}/cancel"))

    def delete(self, job: str) -> None:
        """Delete a job that has ended, with all that it recorded."""
        self._http.send("DELETE", path(job))

    def metrics(
        self,
        job: str,
        *,
        series: Sequence[str] = ("loss",),
        after: int | None = None,
        limit: int | None = None,
    ) -> Metrics:
        """One page of series, of the iterations past `after`; values are floats, NaN among them."""
        params = {"series": joined(series), "after": after, "limit": limit}
        return metrics_of(self._http.json("GET", f"{path(job)}/metrics", params=params))

    def points(self, job: str, name: str = "loss", *, after: int | None = None) -> Points:
        """All points of one series that are recorded by now past iteration `after`."""
        found = Points()
        while True:
            page = self.metrics(job, series=[name], after=after)
            found.extend(page.series.get(name, Points()))
            if page.next_after is None:
                return found
            after = page.next_after

    def follow(
        self, job: str, *, series: Sequence[str] = ("loss",), every: float = 0.2
    ) -> Iterator[tuple[Job, dict[str, Points]]]:
        """Yield the job and the points that are new, each once, until it is in a terminal state.

        Polls every `every` seconds. The last pair has the terminal job and its last points.
        """
        after: dict[str, int | None] = dict.fromkeys(series)
        while True:
            # First the job, then its points: those of a job that has ended are all there.
            now = self.get(job)
            new = {name: self.points(job, name, after=after[name]) for name in series}
            after |= {name: p.iterations[-1] for name, p in new.items() if p.iterations}
            yield now, new
            if now["state"] in TERMINAL:
                return
            time.sleep(every)

    def wait(self, job: str, *, every: float = 0.2) -> Job:
        """The job once it has ended, however it ended."""
        while (now := self.get(job))["state"] not in TERMINAL:
            time.sleep(every)
        return now

    def iteration(
        self, job: str, iteration: int, *, parameters: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The state before update `iteration`: loss, rate; value, gradient, update by parameter.

        A worker replays the job to that iteration; this waits for it. Raises `TaskFailed`.
        """
        params = {"parameters": joined(parameters)} if parameters else {}
        where = f"{path(job)}/iterations/{iteration}"
        return cast(dict[str, Any], numbers(self._http.result(where, params=params)))

    def examples(
        self, job: str, *, split: str = "test", limit: int = 5
    ) -> Sequence[dict[str, Any]]:
        """Rows of one split, raw: `row` (its place in the data set), `input`, `target`."""
        params = {"split": split, "limit": limit}
        answer = self._http.json("GET", f"{path(job)}/examples", params=params)
        return cast(Sequence[dict[str, Any]], answer["data"])

    def predict(self, job: str, inputs: Sequence[Any]) -> Predictions:
        """What the model of a succeeded job says about `inputs`, one row each."""
        body = {"inputs": inputs}
        return predictions_of(self._http.json("POST", f"{path(job)}/predict", body=body))


def path(job: str) -> str:
    """The path of a job; an id of the user's may hold anything."""
    return f"/v1/jobs/{quote(job, safe='')}"
