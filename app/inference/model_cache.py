"""Models ready to predict: read once, kept while there is room, the one least lately asked leaves.

A version never changes, so its location identifies it. Whether it is still there is the database's
to say: nobody gets here without having asked it (``app.api.prediction.version_cache``).
"""

import asyncio
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread

from app.errors import Unavailable
from app.inference.dynamic_batcher import DynamicBatcher
from app.services.models import Served
from app.storage import DamagedFile, Storage

if TYPE_CHECKING:
    from training.engine.predict import Predictor

MODEL_OVERHEAD_BYTES = 200_000
"""Bytes that a model takes beside its tensors, about: layers, names, labels."""


class ModelCache:
    """The models of one process, in ``most_bytes`` of memory; one of them may be larger."""

    def __init__(self, storage: Storage, most_bytes: int) -> None:
        self.storage = storage
        self.most_bytes = most_bytes
        self.models: OrderedDict[str, DynamicBatcher] = OrderedDict()
        self.held = 0
        self.loads: dict[str, asyncio.Task[DynamicBatcher]] = {}
        # A file is in memory two or three times while it becomes a model.
        self.loaders = CapacityLimiter(2)
        self.threads = CapacityLimiter(os.cpu_count() or 1)

    async def model(self, served: Served) -> DynamicBatcher:
        """A version's model; raises ``Unavailable`` when its file is damaged."""
        found = self.models.get(served.location)
        if found is not None:
            self.models.move_to_end(served.location)
            return found
        if served.location not in self.loads:
            load = asyncio.create_task(self.load(served))
            self.loads[served.location] = load
            load.add_done_callback(lambda _: self.loads.pop(served.location))
        # Whoever asked first may hang up; the others still want it.
        return await asyncio.shield(self.loads[served.location])

    async def load(self, served: Served) -> DynamicBatcher:
        """Reads it and makes room for it."""
        predictor = await to_thread.run_sync(read, self.storage, served, limiter=self.loaders)
        model = self.models[served.location] = DynamicBatcher(predictor, self.threads)
        self.held += size(model)
        while self.held > self.most_bytes and len(self.models) > 1:
            _, gone = self.models.popitem(last=False)
            self.held -= size(gone)
        return model


def size(model: DynamicBatcher) -> int:
    """Bytes that a model takes."""
    return model.predictor.size + MODEL_OVERHEAD_BYTES


def read(storage: Storage, served: Served) -> "Predictor":
    """A model, from its file."""
    from training.engine.predict import Predictor

    try:
        return Predictor(storage.get(served.location, served.sha256))
    except DamagedFile as error:
        raise Unavailable("the model's file is damaged; train it again") from error
