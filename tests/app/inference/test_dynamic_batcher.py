"""Who asks a model at the same time: answered together, each as if alone."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from anyio import CapacityLimiter
from numpy.typing import NDArray

from app.inference.dynamic_batcher import (
    MAX_BATCH_ROWS,
    MAX_INLINE_FLOPS,
    DynamicBatcher,
    QueuedRequest,
    predict_large,
)
from training.engine.predict import Predictor

Floats = NDArray[np.float64]


class Watched(DynamicBatcher):
    """Notes every turn: how many requests it was for, and where it was computed."""

    def __init__(self, content: bytes) -> None:
        super().__init__(Predictor(content), CapacityLimiter(2))
        self.turns: list[int] = []
        self.places: set[int] = set()
        self.refuse = 0

    def answered(self, taken: list[QueuedRequest]) -> list[bytes]:
        self.turns.append(len(taken))
        self.places.add(threading.get_ident())
        if self.refuse:
            self.refuse -= 1
            raise MemoryError
        return super().answered(taken)


def rows(model: DynamicBatcher, *counts: int) -> list[Floats]:
    drawn = np.random.default_rng(0)
    return [drawn.uniform(0, 16, (n, *model.predictor.input_shape)) for n in counts]


def asked(model: DynamicBatcher, xs: Sequence[Floats], *with_logits: int) -> list[bytes]:
    async def all_at_once() -> list[bytes]:
        questions: list[Coroutine[Any, Any, bytes]] = [
            model.answers(x, logits=i in with_logits) for i, x in enumerate(xs)
        ]
        return await asyncio.gather(*questions)

    return asyncio.run(all_at_once())


def alone(model: DynamicBatcher, x: Floats, *, logits: bool = False) -> bytes:
    return asked(model, [x], *([0] if logits else []))[0]


def test_those_who_come_at_once_have_one_turn_and_get_what_each_gets_alone(dense: bytes) -> None:
    model = Watched(dense)
    xs = rows(model, *[1] * 20, 3, 70, 1)
    answers = asked(model, xs)
    assert model.turns == [len(xs)]
    assert answers == [alone(model, x) for x in xs]


def test_what_convolutions_answer_is_answered_one_after_the_other(convolutional: bytes) -> None:
    model = Watched(convolutional)
    xs = rows(model, 1, 5, 1)
    answers = asked(model, xs)
    assert model.turns == [1, 1, 1]
    assert answers == [alone(model, x) for x in xs]


def test_logits_are_for_those_who_asked_for_them(dense: bytes) -> None:
    model = Watched(dense)
    xs = rows(model, 2, 2, 2)
    answers = asked(model, xs, 1)
    assert model.turns == [3]
    assert ["logits" in json.loads(answer)[1] for answer in answers] == [False, True, False]
    assert answers[1] == alone(model, xs[1], logits=True)


def test_whoever_comes_while_the_model_is_busy_has_the_next_turn(dense: bytes) -> None:
    model = Watched(dense)
    xs = rows(model, *[1] * 7)

    async def story() -> None:
        first = asyncio.create_task(model.answers(xs[0], logits=False))
        while not model.waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the turn has been taken
        await asyncio.gather(first, *(model.answers(x, logits=False) for x in xs[1:]))

    asyncio.run(story())
    assert model.turns == [1, 6]


def test_a_turn_holds_so_many_rows_or_one_request(dense: bytes) -> None:
    model = Watched(dense)
    xs = rows(model, MAX_BATCH_ROWS - 1, 1, 1, MAX_BATCH_ROWS + 5, 2)
    answers = asked(model, xs)
    assert model.turns == [2, 1, 1, 1]
    assert [len(json.loads(answer)) for answer in answers] == [len(x) for x in xs]


@pytest.mark.parametrize("work", [1, MAX_INLINE_FLOPS + 1])
def test_only_what_takes_long_has_a_thread(work: int, dense: bytes) -> None:
    model = Watched(dense)
    model.predictor.work = work
    asked(model, rows(model, 1, 1))
    assert (threading.get_ident() in model.places) is (work <= MAX_INLINE_FLOPS)
    assert len(model.places) == 1


@pytest.mark.parametrize("work", [1, MAX_INLINE_FLOPS + 1])
def test_a_turn_that_fails_is_told_to_all_who_had_it_and_to_nobody_else(
    work: int, dense: bytes
) -> None:
    model = Watched(dense)
    model.predictor.work, model.refuse = work, 1
    xs = rows(model, 1, 1)

    async def story() -> list[bytes | BaseException]:
        questions = [model.answers(x, logits=False) for x in xs]
        return await asyncio.gather(*questions, return_exceptions=True)

    assert [type(told) for told in asyncio.run(story())] == [MemoryError] * 2
    assert asked(model, xs) == [alone(model, x) for x in xs]


def test_whoever_gives_up_is_missed_by_nobody(dense: bytes) -> None:
    model = Watched(dense)
    (x,) = rows(model, 1)

    async def story() -> bytes:
        gone = asyncio.create_task(model.answers(x, logits=False))
        stays = asyncio.create_task(model.answers(x, logits=False))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(story()) == alone(model, x)


@pytest.mark.parametrize("logits", [False, True])
def test_very_many_rows_are_answered_in_parts_that_nobody_sees(logits: bool, dense: bytes) -> None:
    model = Watched(dense)
    (x,) = rows(model, 2500)
    assert predict_large(model.predictor, x, logits=logits) == alone(model, x, logits=logits)
