"""From the bytes of a question to the bytes of its answer.

What is plainly right, and that is nearly everything, is read fast: rows of numbers need no more
than a parser and an array. Whatever is not is read again, slowly, by what finds every mistake.
"""

from functools import partial
from typing import Annotated, Any, Literal

import orjson
from anyio import to_thread
from pydantic import Field

from app.api.prediction.version_cache import VersionCache
from app.api.requests.json_body import LARGE, MAX_INLINE_BODY_BYTES, decoded, read
from app.api.schemas.base import Document
from app.config import Settings
from app.database.session import Database
from app.errors import Invalid
from app.inference.dynamic_batcher import DynamicBatcher, predict_large
from app.inference.inputs import Floats, fitting
from app.inference.model_cache import ModelCache
from app.jsonable import dumps
from app.services.models import Served, Which
from app.storage import Storage
from training.spec.mistakes import Mistake

MAX_SLOW_INLINE_BYTES = 1 << 12
"""Bytes that are read slowly at once; more than that, and images, have a thread."""
MAX_FAST_INLINE_BYTES = 1 << 20
"""Bytes that are read fast: the parser lets nobody else have a turn."""


class PredictionRequest(Document):
    """Rows of features; ``outputs`` asks for more than the prediction itself."""

    inputs: Annotated[list[Any], Field(min_length=1)]
    outputs: tuple[Literal["logits"], ...] = ()


class PredictionBody:
    """A body that was read. ``numbers``: its inputs, where they are nothing but numbers."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.numbers = plainly(body) if len(body) <= MAX_FAST_INLINE_BYTES else None
        self.slowly: PredictionRequest | None = None
        if self.numbers is None:
            self.request()

    def request(self) -> PredictionRequest:
        """All of it; raises ``Invalid`` with every mistake."""
        if self.slowly is None:
            self.slowly = read(decoded(self.body), PredictionRequest)
        return self.slowly

    @property
    def rows(self) -> int:
        """How many predictions are asked for."""
        return len(self.request().inputs if self.numbers is None else self.numbers)

    @property
    def logits(self) -> bool:
        """Whether they are asked for: what is plain asks for no more than predictions."""
        return self.slowly is not None and "logits" in self.slowly.outputs

    def fast(self, model: DynamicBatcher) -> Floats | None:
        """The inputs of a plain question that fits."""
        return None if self.numbers is None else model.predictor.read_numbers(self.numbers)

    def fit(self, model: DynamicBatcher) -> Floats:
        """The inputs of any; raises ``Invalid`` with a pointer to what does not fit."""
        x = self.fast(model)
        return fitting(model.predictor, self.request().inputs) if x is None else x


def plainly(body: bytes) -> list[Any] | None:
    """The inputs of a body that holds one name and numbers, and so no mistake but of their form.

    One string, one object, and no letter of ``true``, ``false`` and ``null``: no name is given
    twice, and nothing in a list is anything but a number or a list.
    """
    if body.count(b'"') != 2 or body.count(b"{") != 1 or b"l" in body or b"r" in body:
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    inputs = document.get("inputs") if type(document) is dict else None
    return inputs if type(inputs) is list and inputs else None


class PredictionService:
    """Answers for every model, from one process."""

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        self.most_rows = settings.max_prediction_rows
        self.versions = VersionCache(database)
        self.shelf = ModelCache(storage, settings.max_loaded_models_bytes)

    async def answer(self, tenant_id: str, which: Which, body: bytes) -> bytes:
        """The document with a prediction for each input.

        Raises ``Invalid``, ``NotFound``, ``Conflict`` when a job has left no model, or
        ``Unavailable`` when its file is damaged.
        """
        if len(body) > MAX_INLINE_BODY_BYTES:
            async with LARGE:  # what a large body becomes may be ten times as large
                question = await to_thread.run_sync(PredictionBody, body)
                served, model = await self.asked(tenant_id, which, question)
                work = partial(lengthy, model, question)
                return document(served, await to_thread.run_sync(work))
        question = PredictionBody(body)
        served, model = await self.asked(tenant_id, which, question)
        x = question.fast(model)
        if x is None and len(body) <= MAX_SLOW_INLINE_BYTES and model.predictor.columns:
            x = question.fit(model)
        elif x is None:
            x = await to_thread.run_sync(question.fit, model)
        return document(served, await model.answers(x, logits=question.logits))

    async def asked(
        self, tenant_id: str, which: Which, question: PredictionBody
    ) -> tuple[Served, DynamicBatcher]:
        """The version and its model, for so many rows."""
        served = await self.versions.served(tenant_id, which)
        if question.rows > self.most_rows:
            sentence = f"{question.rows} rows are more than the {self.most_rows} allowed"
            raise Invalid("too many rows", [Mistake("/inputs", "limit_exceeded", sentence)])
        return served, await self.shelf.model(served)


def lengthy(model: DynamicBatcher, question: PredictionBody) -> bytes:
    """The answers to a large question, in a thread of its own."""
    return predict_large(model.predictor, question.fit(model), logits=question.logits)


def document(served: Served, answers: bytes) -> bytes:
    """The answer as JSON."""
    name = dumps(served.name)
    return b'{"model":%b,"version":%d,"predictions":%b}' % (name, served.version, answers)
