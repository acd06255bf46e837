"""What torch's meta device says of shapes, beside what the words of the catalogue say."""

import warnings
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st

from training.catalog import Shape, ShapeError
from training.catalog.layers import LayerConfig

CASES = settings(max_examples=250)


def outcome(word: LayerConfig, shape: Shape) -> Shape | None:
    """What comes out, or None where the word refuses."""
    try:
        return word.output_shape(shape)
    except ShapeError:
        return None


def torchs(make: Any, shape: Shape) -> tuple[Shape | None, dict[str, Shape]]:
    """What comes out of torch's module and what it owns, or None where torch refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's remark that an even "same" is slower
        try:
            module = make()
            output = module(torch.empty(3, *shape, device="meta"))
        except (RuntimeError, ValueError, IndexError):
            return None, {}
    return tuple(output.shape[1:]), {n: tuple(p.shape) for n, p in module.state_dict().items()}


def owned(word: LayerConfig, shape: Shape) -> dict[str, Shape]:
    """The tensors of a layer by name."""
    parameters = {name: tensor.shape for name, tensor in word.parameters(shape).items()}
    return parameters | {name: tensor.shape for name, tensor in word.buffers(shape).items()}


sizes = st.integers(1, 9)
images = st.tuples(st.integers(1, 6), sizes, sizes)
anything = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)
shapes = images | anything


def pairs(lowest: int, highest: int) -> st.SearchStrategy[Any]:
    """One number for both axes, or two."""
    number = st.integers(lowest, highest)
    return number | st.tuples(number, number)
