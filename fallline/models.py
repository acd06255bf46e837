"""The client's models: `client.models.…`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fallline.answers import Predictions, predictions_of
from fallline.transport import Transport


class Models:
    """Ask trained models by their name. Every method may raise `ApiError`, `Unreachable`."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def predict(
        self, name: str, inputs: Sequence[Any], *, version: int | None = None
    ) -> Predictions:
        """What a model says about `inputs`, one row each; its newest version unless named."""
        path = f"/v1/models/{quote(name, safe='')}"
        if version is not None:
            path += f"/versions/{version}"
        return predictions_of(self._http.json("POST", f"{path}/predict", body={"inputs": inputs}))
