"""What can be wrong with layers that are each right: names, places, batches, what they look up.

Imports no torch.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.catalog.layers import PROJECTION, Embedding, LayerConfig, Residual
from training.spec.mistakes import Mistake
from training.spec.plan import LayerPlan

MAX_LISTED_COUNT = 20
"""How many numbers that are no index are listed."""


def names(words: Sequence[LayerConfig], at: str, prefix: str = "") -> Iterator[Mistake]:
    """Whether every layer can be addressed: names and indices are distinct within a block."""
    seen = {PROJECTION} if prefix else set[str]()
    for i, word in enumerate(words):
        path, here = word.name or str(i), f"{at}/{i}"
        if path in seen:
            owner = "the skip of a block" if prefix and path == PROJECTION else "two layers"
            yield Mistake(f"{here}/name", "conflict", f"`{prefix}{path}` names {owner}")
        seen.add(path)
        if isinstance(word, Residual):
            yield from names(word.layers, f"{here}/layers", f"{prefix}{path}.")


def placed(layers: Sequence[LayerPlan], at: str) -> Iterator[tuple[str, LayerPlan]]:
    """Every layer and where it stands."""
    for i, layer in enumerate(layers):
        yield f"{at}/{i}", layer
        yield from placed(layer.layers, f"{at}/{i}/layers")


def misplaced(layers: Sequence[LayerPlan], at: str, batch_size: int | None) -> Iterator[Mistake]:
    """Layers that cannot work where they stand, or with batches of one."""
    for here, layer in placed(layers, at):
        word, told = layer.word, f"layer {layer.path} ({layer.word.type})"
        if batch_size == 1 and word.values_per_channel(layer.input_shape) == 1:
            yield Mistake(here, "batch_too_small", f"{told}: a batch of one has no statistics")
        if isinstance(word, Embedding) and here != f"{at}/0":
            sentence = f"{told}: looks up whole numbers of the data, so it must be the first layer"
            yield Mistake(here, "conflict", sentence)


def embedding(layers: Sequence[LayerPlan]) -> Embedding | None:
    """The word that looks up the inputs, if one does."""
    first = layers[0].word
    return first if isinstance(first, Embedding) else None


def unfit(x: NDArray[np.float64], rows: int) -> list[tuple[tuple[int, ...], str]]:
    """The places of the first few numbers that an embedding of so many rows cannot look up, and a
    sentence for each."""
    bad = np.argwhere(~((x >= 0) & (x < rows) & (x == np.floor(x))))  # true of NaN too
    places = [tuple(int(i) for i in place) for place in bad[:MAX_LISTED_COUNT]]
    return [(at, f"{x[at]:g} is no whole number from 0 to {rows - 1}") for at in places]
