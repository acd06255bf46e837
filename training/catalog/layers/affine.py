"""Layers that multiply by a matrix, or look rows of one up."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from training.catalog.base import MAX_INT64, Shape
from training.catalog.inits import Init, Normal, Parameter, weight_and_bias
from training.catalog.layers.base import LayerConfig, Size


class Linear(LayerConfig):
    """y = x·Wᵀ + b; what is not flat is flattened first."""

    type: Literal["linear"] = "linear"
    out_features: Size
    bias: bool = True
    init: Init | None = None

    keeps_input: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        return (self.out_features,)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return weight_and_bias((self.out_features, math.prod(shape)), self.bias, self.init)

    def flops(self, shape: Shape) -> int:
        return 2 * math.prod(shape) * self.out_features


class Embedding(LayerConfig):
    """A learned vector for each whole number from 0 to ``num_embeddings`` − 1; the first layer.

    ``padding_idx``: the number whose vector is 0 at first and is not trained.
    """

    type: Literal["embedding"] = "embedding"
    # Inputs are kept as float32, which holds every whole number up to 2²⁴.
    num_embeddings: Annotated[int, Field(ge=1, le=2**24)]
    embedding_dim: Size
    padding_idx: Annotated[int, Field(ge=-MAX_INT64, le=MAX_INT64)] | None = None
    init: Init | None = None

    @model_validator(mode="after")
    def padding_is_a_row(self) -> "Embedding":
        rows = self.num_embeddings
        if self.padding_idx is not None and not -rows <= self.padding_idx < rows:
            raise PydanticCustomError(
                "conflict",
                "padding_idx must be within the {rows} rows of num_embeddings",
                {"rows": rows},
            )
        return self

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape, self.embedding_dim)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        weight = (self.num_embeddings, self.embedding_dim)
        drawn = (self.init or Normal()).drawn(weight)
        return {"weight": Parameter(weight, drawn, self.padding_idx)}
