"""A trained model as a file, and predictions from it: nothing but the forward pass."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.catalog import Classes, Column, Values
from training.catalog.base import spoken
from training.catalog.numbers import TRAINED
from training.datasets import images, inline, tabular_rows
from training.engine.blocks import Weights
from training.engine.evaluate import EVALUATION_ROWS
from training.functional import row_invariant_layers
from training.functional.layers import FORWARD
from training.functional.losses import class_logits
from training.functional.network import Network
from training.spec.job_spec import Model
from training.spec.plan import Plan, infer_shapes, walk
from training.tensors.data import Preparation
from training.tensors.numerics import Numerics
from training.tensors.tensor_file import pack, prefixed, under, unpack
from training.validation.layer_checks import embedding, unfit

FORMAT = "fallline model 1"
POINTWISE_FLOPS = 8
"""What a value costs beside the products, in floating-point operations, as ``work`` counts."""


class UnfitInput(ValueError):
    """An input that the model cannot take: ``place`` leads to it, the message says why."""

    def __init__(self, place: tuple[int, ...], message: str) -> None:
        self.place = place
        super().__init__(message)


def encode(plan: Plan, preparation: Preparation, weights: Weights) -> bytes:
    """The model file: tensors by ``state_dict`` name, preparation, layers, shapes and labels."""
    network = Network(plan.layers)
    tensors = network.views(weights.parameters) | weights.buffers
    arrays = {name: torch.from_numpy(values) for name, values in vars(preparation).items()}
    target, columns = plan.facts.target, plan.facts.columns
    return pack(
        prefixed("state", tensors) | prefixed("preparation", arrays),
        {
            "format": FORMAT,
            "model": plan.spec.model.model_dump(mode="json"),
            "input_shape": plan.facts.input_shape,
            "labels": target.labels if isinstance(target, Classes) else None,
            "width": target.width if isinstance(target, Values) else None,
            "image_scale": plan.facts.image_scale,
            "columns": [asdict(column) for column in columns],
        },
    )


class Predictor:
    """A model ready to predict. Thread-safe: predicting changes nothing."""

    def __init__(self, content: bytes, numerics: Numerics | None = None) -> None:
        self.numerics = numerics or Numerics.on("cpu")
        tensors, facts = unpack(content, expected=FORMAT)
        self.input_shape: tuple[int, ...] = tuple(facts["input_shape"])
        size = math.prod(self.input_shape)
        self.shapes = {self.input_shape, *([(size,)] if size > 1 else [(1,), ()])}
        self.labels: list[int | str] | None = facts["labels"]
        self.image_scale: float | None = facts["image_scale"]
        self.columns = tuple(
            Column(**{**column, "categories": tuple(column["categories"])})
            for column in facts["columns"]
        )
        layers = infer_shapes(
            Model.model_validate(facts["model"], context=TRAINED), self.input_shape
        )
        state = {n: t.to(self.numerics.device) for n, t in under("state", tensors).items()}
        self.by_rows = row_invariant_layers.possible(layers)
        self.network = Network(
            layers, row_invariant_layers.FORWARD_BY_ROWS if self.by_rows else FORWARD
        )
        self.tensors = row_invariant_layers.widened(layers, state) if self.by_rows else state
        arrays = {name: values.numpy() for name, values in under("preparation", tensors).items()}
        self.preparation = Preparation(**arrays)
        self.work = sum(layer.word.flops(layer.input_shape) for layer in layers) + sum(
            POINTWISE_FLOPS * math.prod(layer.output_shape) for layer in walk(layers)
        )

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def predict(self, inputs: list[Any], *, logits: bool = False) -> list[dict[str, Any]]:
        """One answer an input: label and probabilities, or values in the target's own units."""
        return self.answers(self.outputs(self.read(inputs)), logits=logits)

    @torch.inference_mode()
    def outputs(self, x: NDArray[np.float64]) -> Tensor:
        """The network's outputs [N, *output] for raw inputs [N, *shape].

        ``by_rows``: every row as it would be alone, to the bit.
        """
        prepared = self.numerics.floats(self.preparation.inputs(x))
        if len(x) <= EVALUATION_ROWS:
            return self.passed(prepared)
        return torch.cat([self.passed(part) for part in prepared.split(EVALUATION_ROWS)])

    def passed(self, x: Tensor) -> Tensor:
        """One pass through the network."""
        filled = row_invariant_layers.filled_up(x) if self.by_rows else x
        output, _ = self.network.apply(self.tensors, self.tensors, filled)
        return output if filled is x else output[: len(x)]

    def answers(self, output: Tensor, *, logits: bool = False) -> list[dict[str, Any]]:
        """What the outputs say."""
        if self.labels is None:
            own = output.double().cpu().numpy() * self.preparation.y_scale
            return [{"value": row} for row in (own + self.preparation.y_shift).tolist()]
        return self.classified(output, self.labels, logits=logits)

    def classified(
        self, output: Tensor, labels: list[int | str], *, logits: bool
    ) -> list[dict[str, Any]]:
        """The most probable label of each row, and the probability of each label in order; the
        logits are the network's own outputs, a single one where it has one for two classes."""
        logits_NC = class_logits(output)
        chosen = logits_NC.argmax(1).tolist()
        answers: list[dict[str, Any]] = [
            {"label": labels[k], "probabilities": row}
            for k, row in zip(chosen, logits_NC.softmax(1).tolist(), strict=True)
        ]
        if logits:
            for answer, row in zip(answers, output.tolist(), strict=True):
                answer["logits"] = row
        return answers

    def read(self, inputs: list[Any]) -> NDArray[np.float64]:
        """[N, *input_shape]; a flat row of as many numbers is accepted; raises ``UnfitInput``.

        A model of an uploaded table takes rows by column and raises ``Mistakes``, all at once.
        """
        if not inputs:
            raise UnfitInput((), "at least one input is needed")
        if self.columns:
            x = tabular_rows.encoded(self.columns, inputs)
            self.look_up(x, inputs)
            return x
        return np.stack([self.row(i, value) for i, value in enumerate(inputs)])

    def read_numbers(self, inputs: list[Any]) -> NDArray[np.float64] | None:
        """The same for lists that hold nothing but finite numbers, which is soon done; ``None``
        when they do not fit, for ``read`` to say why."""
        if self.columns:
            return None
        try:
            x = np.array(inputs, dtype=np.float64)
        except (ValueError, OverflowError):  # ragged
            return None
        if x.shape[1:] not in self.shapes:
            return None
        x = x.reshape(-1, *self.input_shape)
        word = embedding(self.network.layers)
        return None if word and any(unfit(x, word.num_embeddings)) else x

    def row(self, i: int, value: Any) -> NDArray[np.float64]:
        """One input as an array."""
        if isinstance(value, str) and self.image_scale and self.input_shape[0] in images.MODES:
            try:
                return images.decoded(value, self.input_shape, self.image_scale)
            except images.BadImage as error:
                raise UnfitInput((i,), str(error)) from error
        array = inline.array(value)
        if array is None:
            raise UnfitInput((i,), "must be a row of numbers")
        if array.shape not in self.shapes:
            raise UnfitInput((i,), self.expectation(array.shape))
        if not np.isfinite(array).all():
            place = np.argwhere(~np.isfinite(array))[0]
            raise UnfitInput((i, *map(int, place)), "must be a finite number, not NaN or Inf")
        self.look_up(array[None], [value], first=i)
        return array.reshape(self.input_shape)

    def look_up(self, x: NDArray[np.float64], inputs: list[Any], *, first: int = 0) -> None:
        """``UnfitInput`` for a number that the embedding, if there is one, has no row for."""
        word = embedding(self.network.layers)
        for (i, *at), sentence in unfit(x, word.num_embeddings) if word else ():
            within = () if isinstance(inputs[i], dict) else at
            raise UnfitInput((first + i, *within), sentence)

    def expectation(self, got: tuple[int, ...]) -> str:
        """The sentence for a row of the wrong shape."""
        return f"the model takes {spoken(self.input_shape)} numbers a row, but {spoken(got)} came"
