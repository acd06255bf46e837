"""Models that are kept ready."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import Unavailable
from app.inference.model_cache import MODEL_OVERHEAD_BYTES, ModelCache
from app.services.models import Served
from app.storage import Storage
from training.engine.predict import Predictor

Put = Callable[[bytes], Served]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


@pytest.fixture
def put(storage: Storage) -> Put:
    def stored(content: bytes) -> Served:
        location, sha256, _ = storage.put("model", content)
        return Served("m", 1, location, sha256)

    return stored


def test_who_was_asked_least_lately_leaves_when_there_is_no_room(
    dense: bytes, storage: Storage, put: Put
) -> None:
    each = Predictor(dense).size + MODEL_OVERHEAD_BYTES
    shelf = ModelCache(storage, 2 * each)
    a, b, c = (put(dense) for _ in range(3))

    async def story() -> None:
        first = await shelf.model(a)
        await shelf.model(b)
        assert await shelf.model(a) is first
        await shelf.model(c)
        assert list(shelf.models) == [a.location, c.location]
        assert shelf.held == 2 * each
        await shelf.model(b)
        assert await shelf.model(a) is not first

    asyncio.run(story())


def test_a_model_larger_than_the_limit_answers_too(
    dense: bytes, storage: Storage, put: Put
) -> None:
    shelf = ModelCache(storage, 1)

    async def story() -> None:
        for served in (put(dense), put(dense)):
            model = await shelf.model(served)
            assert await shelf.model(served) is model
            assert list(shelf.models) == [served.location]

    asyncio.run(story())


def test_those_who_want_a_model_at_the_same_time_read_it_once(
    dense: bytes, storage: Storage, put: Put
) -> None:
    shelf = ModelCache(storage, 1 << 30)
    served = put(dense)

    async def story() -> None:
        models = await asyncio.gather(*(shelf.model(served) for _ in range(10)))
        assert len(set(map(id, models))) == 1
        assert shelf.held == Predictor(dense).size + MODEL_OVERHEAD_BYTES
        assert shelf.loads == {}

    asyncio.run(story())


def test_a_damaged_file_is_told_and_read_again_when_it_is_mended(
    dense: bytes, storage: Storage, put: Put
) -> None:
    shelf = ModelCache(storage, 1 << 30)
    served = put(dense)
    path = storage.root / served.location
    path.write_bytes(dense[:-1])

    async def story() -> None:
        for _ in range(2):
            with pytest.raises(Unavailable, match="damaged"):
                await shelf.model(served)
        path.write_bytes(dense)
        assert (await shelf.model(served)).predictor.size == Predictor(dense).size

    asyncio.run(story())
