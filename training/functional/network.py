"""A network as data: where each parameter lies in the flat store, and the forward pass over it."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.catalog import Parameter
from training.catalog.layers import Residual
from training.functional.layers import FORWARD, Forward, LayerInputs, skip
from training.spec.plan import LayerPlan, walk
from training.tensors import randomness
from training.tensors.numerics import Numerics

Tensors = dict[str, Tensor]


class ForwardContext(NamedTuple):
    """What a pass over the layers is given; ``updated``: the buffers after it."""

    parameters: Tensors
    buffers: Tensors
    noise: Tensors | None
    updated: Tensors


class Network:
    """The layers of a plan, applied to tensors that are handed in; it holds none itself.

    Parameters live in one flat vector [P], the layers' tensors are views of it: the optimizer is a
    handful of operations whatever the depth, and a checkpoint is one row.

    ``forward``: what a layer is, by its word: of one job, or of several side by side, whose stores
    are then [K, R] (R ≥ P: a row may be padded), and all else has an axis K in front.
    """

    def __init__(self, layers: Sequence[LayerPlan], forward: Forward = FORWARD) -> None:
        self.layers = tuple(layers)
        self.forward = forward
        self.parameters: dict[str, Parameter] = {
            name: p for layer in self.layers for name, p in layer.parameters.items()
        }
        self.sizes = [math.prod(p.shape) for p in self.parameters.values()]
        # Local name to full name, so that a pass over the layers only looks things up.
        self.owned = {
            layer.path: (local_name(layer, layer.parameters), local_name(layer, layer.buffers))
            for layer in walk(self.layers)
        }
        self.skips = {
            layer.path: layer.word.skip(layer.input_shape)
            for layer in walk(self.layers)
            if isinstance(layer.word, Residual)
        }

    def views(self, flat_P: Tensor) -> Tensors:
        """The flat store as named tensors. One split: its gradient is one concatenation."""
        *jobs, width = flat_P.shape
        pieces = flat_P.split([*self.sizes, width - sum(self.sizes)], -1)
        named = zip(self.parameters.items(), pieces, strict=False)
        return {name: piece.view(*jobs, *parameter.shape) for (name, parameter), piece in named}

    def initial_parameters(self, seed: int, numerics: Numerics) -> Tensor:
        """[P], each tensor drawn from the seed and its own name."""
        drawn = (randomness.initial(p, seed, name) for name, p in self.parameters.items())
        return torch.cat([numerics.floats(values).reshape(-1) for values in drawn])

    def initial_buffers(self, numerics: Numerics) -> Tensors:
        """Running statistics before any batch was seen."""
        found: Tensors = {}
        for layer in self.layers:
            for name, buffer in layer.buffers.items():
                values = np.full(buffer.shape, buffer.value)
                make = numerics.integers if buffer.integer else numerics.floats
                found[name] = make(values)
        return found

    def apply(
        self,
        parameters: Tensors,
        buffers: Tensors,
        x: Tensor,
        noise: Tensors | None = None,
    ) -> tuple[Tensor, Tensors]:
        """[B, *input] → [B, *output] and the new buffers.

        ``noise``: the masks of one iteration by layer path; ``None`` means evaluation.
        """
        known = ForwardContext(parameters, buffers, noise, dict(buffers))
        return self.through(self.layers, x, known), known.updated

    def through(self, layers: Sequence[LayerPlan], x: Tensor, known: ForwardContext) -> Tensor:
        """Some of the layers. (No function within ``apply``: one that names itself is a cycle, and
        would keep a whole state alive until the garbage collector comes.)"""
        for layer in layers:
            parameter_names, buffer_names = self.owned[layer.path]
            own = LayerInputs(
                {name: known.parameters[full] for name, full in parameter_names.items()},
                {name: known.buffers[full] for name, full in buffer_names.items()},
                None if known.noise is None else known.noise.get(layer.path),
                known.noise is not None,
                {},
            )
            if layer.path in self.skips:
                around = skip(self.forward, self.skips[layer.path], x, own)
                x = self.through(layer.layers, x, known) + around
            else:
                x = self.forward[layer.word.type](layer.word, x, own)
            known.updated.update({f"{layer.path}.{name}": t for name, t in own.updated.items()})
        return x


def local_name(layer: LayerPlan, names: Iterable[str]) -> dict[str, str]:
    """A layer's tensors: the name within the layer to the name within the network."""
    return {name.removeprefix(f"{layer.path}."): name for name in names}
