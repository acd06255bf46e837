"""What can be asked about a job's training and its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from fallline.http.request import Request, joined, key_header, segment
from fallline.http.sync_async import M, Resource, dual_method
from fallline.jsonable import numbers
from fallline.types import Predictions, part, predictions_of


@dataclass(frozen=True)
class JobQueries(Resource[M]):
    """A job by its id, and the questions about any of its iterations and about its model.

    A worker computes the answers to most of them; these wait for it, and may raise `TaskFailed`.
    """

    id: str

    @property
    def path(self) -> str:
        """Where the job is found."""
        return f"/v1/jobs/{segment(self.id)}"

    @dual_method
    async def iteration(
        self, iteration: int, *, parameters: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The state before update `iteration`: loss, rate; value, gradient, update by parameter."""
        where = f"{self.path}/iterations/{iteration}"
        return await self._computed(Request("GET", where, {"parameters": joined(parameters)}))

    @dual_method
    async def explain(self, iteration: int, weight: str, *, example: int = 0) -> dict[str, Any]:
        """Why one weight (`2.weight[1,2]`) moves: the chain rule for one example."""
        where = f"{self.path}/iterations/{iteration}/explain"
        return await self._computed(Request("GET", where, {"weight": weight, "example": example}))

    @dual_method
    async def verify(self) -> dict[str, Any]:
        """Train the job, which has ended, again; how it compares with what was recorded."""
        request = Request("POST", f"{self.path}/verify", headers=key_header())
        return await self._computed(request)

    @dual_method
    async def examples(self, *, split: str = "test", limit: int = 5) -> Sequence[dict[str, Any]]:
        """Rows of one split, raw: `row` (its place in the data set), `input`, `target`."""
        params = {"split": split, "limit": limit}
        answer = await self._http.get(f"{self.path}/examples", params)
        return cast(Sequence[dict[str, Any]], part(answer, "data"))

    @dual_method
    async def predict(self, inputs: Sequence[Any], *, outputs: Sequence[str] = ()) -> Predictions:
        """What the model of the job, which has succeeded, says about `inputs`, one row each."""
        body = {"inputs": inputs, "outputs": outputs}
        return predictions_of(await self._http.ask(f"{self.path}/predict", body))

    async def _computed(self, request: Request) -> dict[str, Any]:
        return cast(dict[str, Any], numbers(await self._http.result(request)))
