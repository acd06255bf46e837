"""The client's jobs: `client.jobs.…`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

from fallline.http.sync_async import M, Resource, dual_method, dual_stream
from fallline.resources.job import Job, JobRef, job_of
from fallline.types import Page, page_of, part


class Jobs(Resource[M]):
    """Create and find jobs. Every method may raise `ApiError`, `Unreachable`."""

    def at(self, job: str) -> JobRef[M]:
        """The job of an id, to be steered without asking for it first."""
        return JobRef(self._http, job)

    @dual_method
    async def create(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Job[M]:
        """Post a job specification; all its mistakes come back at once in an `ApiError`.

        With an `idempotency_key` of yours, a program that is started again gets the same job.
        """
        return job_of(self._http, await self._http.act("/v1/jobs", spec, key=idempotency_key))

    @dual_method
    async def batch(
        self,
        jobs: Sequence[Mapping[str, Any]] = (),
        *,
        base: Mapping[str, Any] | None = None,
        changes: Sequence[Mapping[str, Any]] = (),
        idempotency_key: str | None = None,
    ) -> Sequence[Job[M]]:
        """Post many specifications, or one `base` and what each changes of it: all or none."""
        body = {"jobs": jobs} if base is None else {"base": base, "changes": changes}
        answer = await self._http.act("/v1/jobs/batch", body, key=idempotency_key)
        return [job_of(self._http, row) for row in part(answer, "data")]

    @dual_method
    async def validate(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """What would run: shapes, parameters, cost. The mistakes of a bad one are an `ApiError`."""
        return cast(dict[str, Any], await self._http.ask("/v1/jobs/validate", spec))

    @dual_method
    async def get(self, job: str) -> Job[M]:
        """The job as it is now."""
        return job_of(self._http, await self._http.get(JobRef(self._http, job).path))

    @dual_method
    async def list(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page[Job[M]]:
        """One page of the jobs, newest first; `after` is the `next` of the page before."""
        params = wanted(state, name, metadata) | {"limit": limit, "after": after}
        answer = await self._http.get("/v1/jobs", params)
        return page_of(answer, lambda row: job_of(self._http, row))

    @dual_stream
    async def all(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Job[M], None]:
        """The jobs of every page, newest first."""
        async for row in self._http.rows("/v1/jobs", wanted(state, name, metadata)):
            yield job_of(self._http, row)


def wanted(
    state: str | None, name: str | None, metadata: Mapping[str, str] | None
) -> dict[str, Any]:
    """The filters of a list as query parameters."""
    labels = {f"metadata.{key}": value for key, value in (metadata or {}).items()}
    return {"state": state, "name": name, **labels}
