"""Who asks one model at the same time is answered at the same time; nobody waits for company.

Whatever came while the model was busy is its next turn. A turn that takes a moment is computed
where the requests are: a thread would cost more, to be woken and to get hold of the interpreter. A
longer one has a thread, and torch lets others work meanwhile.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray

from app.jsonable import dumps

if TYPE_CHECKING:
    from training.engine.predict import Predictor

MAX_INLINE_FLOPS = 4_000_000
"""Floating-point operations that are a moment: a fraction of a millisecond."""
MAX_BATCH_ROWS = 1024
"""Rows of a turn, if the first request has not more by itself."""
ENCODED_VALUES = 10_000
"""Numbers of an answer that are written at once; between them others have their turn."""


class QueuedRequest(NamedTuple):
    """Rows of one request, and where its answers go: a list, as JSON."""

    x: NDArray[np.float64]
    logits: bool
    answers: asyncio.Future[bytes]


class DynamicBatcher:
    """A model, and who waits for it."""

    def __init__(self, predictor: "Predictor", threads: CapacityLimiter) -> None:
        self.predictor = predictor
        self.threads = threads
        self.waiting: deque[QueuedRequest] = deque()
        self.task: asyncio.Task[None] | None = None

    async def answers(self, x: NDArray[np.float64], *, logits: bool) -> bytes:
        """A list of one answer a row, to the bit as if nobody else had asked."""
        asked = QueuedRequest(x, logits, asyncio.get_running_loop().create_future())
        self.waiting.append(asked)
        if self.task is None:
            self.task = asyncio.create_task(self.work())
        return await asked.answers

    async def work(self) -> None:
        """Turn after turn, until nobody waits."""
        try:
            while self.waiting:
                await self.turn(self.taken())
                await asyncio.sleep(0)  # they answer, and others come
        finally:
            self.task = None

    async def turn(self, taken: list[QueuedRequest]) -> None:
        """One turn; what goes wrong with it is told to those who had it."""
        try:
            if self.light(taken):
                answers = self.answered(taken)
            else:
                answers = await to_thread.run_sync(self.answered, taken, limiter=self.threads)
        except Exception as error:  # noqa: BLE001 -- it is raised again by each who asked
            for asked in taken:
                if not asked.answers.done():
                    asked.answers.set_exception(error)
        else:
            for asked, answer in zip(taken, answers, strict=True):
                if not asked.answers.done():  # it may have been given up
                    asked.answers.set_result(answer)

    def taken(self) -> list[QueuedRequest]:
        """Who has the next turn: all who wait, where rows leave one another alone."""
        taken = [self.waiting.popleft()]
        rows = len(taken[0].x)
        while self.predictor.by_rows and self.waiting:
            rows += len(self.waiting[0].x)
            if rows > MAX_BATCH_ROWS:
                break
            taken.append(self.waiting.popleft())
        return taken

    def light(self, taken: list[QueuedRequest]) -> bool:
        """Whether the turn takes a moment only."""
        return sum(len(asked.x) for asked in taken) * self.predictor.work <= MAX_INLINE_FLOPS

    def answered(self, taken: list[QueuedRequest]) -> list[bytes]:
        """The answers to each."""
        parts = [asked.x for asked in taken]
        output = self.predictor.outputs(parts[0] if len(parts) == 1 else np.concatenate(parts))
        logits = any(asked.logits for asked in taken)
        answers = self.predictor.answers(output, logits=logits)
        found, begin = [], 0
        for asked in taken:
            own = answers[begin : begin + len(asked.x)]
            begin += len(asked.x)
            if logits and not asked.logits:
                own = [{k: v for k, v in answer.items() if k != "logits"} for answer in own]
            found.append(dumps(own))
        return found


def predict_large(predictor: "Predictor", x: NDArray[np.float64], *, logits: bool) -> bytes:
    """The answers to very many rows, for a thread beside all turns."""
    output = predictor.outputs(x)
    rows = max(1, ENCODED_VALUES // max(1, output[0].numel()))
    parts = (dumps(predictor.answers(part, logits=logits)) for part in output.split(rows))
    return b"[" + b",".join(part[1:-1] for part in parts) + b"]"
