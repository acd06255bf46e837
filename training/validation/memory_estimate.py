"""How much memory a job takes at its peak, from its plan alone. Imports no torch.

Three moments compete: a pass backward through the layers, the update of the parameters, and the
evaluation of held-back data; before them the data are read, and the first weights are drawn. What
is counted is what is alive at each, in the engine's own code (``training.step.step``,
``training.run``); a test holds the sum against the resident memory of real processes.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from training.catalog.inits import Normal, Orthogonal
from training.catalog.layers import Dropout, Residual
from training.catalog.layers.convolutions import Convolution
from training.catalog.layers.pools import AdaptiveAvgPool2d, MaxPool1d, MaxPool2d
from training.spec.job_spec import InlineData
from training.spec.plan import LayerPlan, Plan, walk

FLOAT32_BYTES, FLOAT64_BYTES = 4, 8
"""Bytes of a number on the device, and of one that is being prepared."""
EVALUATION_ROWS = 4096
"""Examples an evaluation takes at once (``training.engine.evaluate.EVALUATION_ROWS``)."""
PREPARED_VALUES = 1 << 20
"""Numbers that are prepared at once (``training.tensors.data.PREPARED_VALUES``)."""
WINDOW_ITERATIONS, WINDOW_ROWS = 256, 1 << 20
"""Iterations, or rows, whose indices are drawn at once (``training.step.batches``)."""
DRAWN_COPIES_COUNT, NORMAL_COPIES_COUNT = 2, 4
"""Copies of a tensor's numbers, in float64, while its first values are drawn; and of normal ones,
which are made of two uniform ones each."""
FIXED_BYTES = 8_000_000
"""Bytes of a job of no size: graphs, code, the optimizer's numbers."""


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, by what they are for."""

    parameters: int
    optimizer: int
    gradients: int
    activations: int
    batch: int
    data: int
    workspace: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())

    @property
    def largest(self) -> str:
        """What takes the most of it."""
        parts: dict[str, int] = asdict(self)
        return max(parts, key=lambda name: parts[name])


def estimate(plan: Plan) -> Memory:
    """The memory of a job when it needs the most."""
    return max(moments(plan), key=lambda memory: memory.total)


def parts(plan: Plan) -> dict[str, int]:
    """Each part when it is the largest, by name. That is not at the same moment for all of them, so
    together they may be more than the job ever needs."""
    found = [asdict(memory) for memory in moments(plan)]
    return {name: max(memory[name] for memory in found) for name in found[0]}


def moments(plan: Plan) -> list[Memory]:
    """The memory at each of the moments that may need the most."""
    return [of(plan) for of in (reading, drawing, feeding, backward, updating, evaluating)]


def reading(plan: Plan) -> Memory:
    """Data are prepared in float64, a part at a time; where they come from is beside them: inline
    data as objects, whose form is looked at first, an uploaded table as it is mapped."""
    held, wide = examples(plan), 2 * examples(plan)
    prepared = held + 4 * min(wide, FLOAT64_BYTES * PREPARED_VALUES)
    if isinstance(plan.spec.dataset, InlineData):
        data = max(int(3.2 * wide), wide + prepared)
    elif plan.facts.columns:
        data = FLOAT64_BYTES * plan.facts.rows * len(plan.facts.columns) + prepared
    else:
        data = max(wide + prepared, 3 * wide)  # mean and deviation are taken of a copy
    return Memory(0, 0, 0, 0, 0, data, FIXED_BYTES)


def examples(plan: Plan) -> int:
    """All examples as they lie on the device."""
    return FLOAT32_BYTES * plan.facts.rows * math.prod(plan.facts.input_shape)


def weights(plan: Plan) -> int:
    """All parameters once."""
    return FLOAT32_BYTES * plan.parameter_count


def drawing(plan: Plan) -> Memory:
    """The first values of the tensor that needs the most for them, beside those of the others."""
    workspace = 0
    for parameter in plan.parameters.values():
        copies = (
            NORMAL_COPIES_COUNT
            if isinstance(parameter.init, Normal | Orthogonal)
            else DRAWN_COPIES_COUNT
        )
        workspace = max(
            workspace, (copies * FLOAT64_BYTES - FLOAT32_BYTES) * math.prod(parameter.shape)
        )
    return Memory(weights(plan), 0, 0, 0, 0, examples(plan), workspace + FIXED_BYTES)


def states(plan: Plan) -> tuple[int, int]:
    """Parameters and slots while an iteration runs: those it begins with, and those with which its
    block began, which a block that has to be cut begins from again; at each the best so far."""
    best = plan.spec.early_stopping is not None and plan.spec.early_stopping.restore_best
    parameters = weights(plan)
    return 2 * (1 + best) * parameters, 2 * plan.spec.optimizer.slots * parameters


def backward(plan: Plan) -> Memory:
    """The last moment of a backward pass, when every gradient but the first is there."""
    parameters, slots = states(plan)
    tape, x = Tape(), Activation(math.prod(plan.facts.input_shape))
    x.kept = True  # it is a part of the batch
    tape.through(plan.layers, x, False)
    return Memory(
        parameters,
        slots,
        weights(plan),
        FLOAT32_BYTES * plan.batch_size * (tape.kept + tape.largest),
        batch(plan),
        examples(plan),
        FLOAT32_BYTES * plan.batch_size * workspace(plan.layers) + FIXED_BYTES,
    )


def updating(plan: Plan) -> Memory:
    """The gradient by layers and as one, and a new state beside those that are kept."""
    parameters, slots = states(plan)
    once, optimizer = weights(plan), plan.spec.optimizer
    return Memory(
        parameters + once,
        slots + optimizer.slots * once,
        2 * once,
        0,
        batch(plan),
        examples(plan),
        optimizer.temporaries * once + FIXED_BYTES,
    )


def evaluating(plan: Plan) -> Memory:
    """A forward pass over as many examples as are taken at once; nothing is kept for later."""
    parameters, slots = states(plan)
    rows = min(EVALUATION_ROWS, max(plan.rows.values()))
    inner = max(
        math.prod(layer.input_shape) + math.prod(layer.output_shape) for layer in walk(plan.layers)
    )
    space = FLOAT32_BYTES * rows * workspace(plan.layers) + FIXED_BYTES
    return Memory(parameters, slots, 0, FLOAT32_BYTES * rows * inner, 0, examples(plan), space)


def batch(plan: Plan) -> int:
    """One batch: its examples and their indices, unless they are all there are, and its noise."""
    noise = FLOAT32_BYTES * sum(masks(plan))
    if plan.spec.batch_size == "full":
        return noise
    return (
        noise + FLOAT32_BYTES * plan.batch_size * math.prod(plan.facts.input_shape) + indices(plan)
    )


def masks(plan: Plan) -> list[int]:
    """The sizes of what dropout layers draw for an iteration."""
    return [
        plan.batch_size * math.prod(layer.input_shape)
        for layer in walk(plan.layers)
        if isinstance(layer.word, Dropout)
    ]


def indices(plan: Plan) -> int:
    """The rows of the iterations whose indices are drawn at once."""
    return FLOAT64_BYTES * min(
        WINDOW_ITERATIONS * plan.batch_size, max(WINDOW_ROWS, plan.batch_size)
    )


def feeding(plan: Plan) -> Memory:
    """Before an iteration its noise is made, in float64 from 32 random bits a value, and now and
    then indices from the orders of the epochs."""
    parameters, slots = states(plan)
    random = (FLOAT32_BYTES + 1 + FLOAT64_BYTES) * max(masks(plan), default=0)
    drawn = 0 if plan.spec.batch_size == "full" else 2 * indices(plan)
    return Memory(
        parameters, slots, 0, 0, batch(plan), examples(plan), max(random, drawn) + FIXED_BYTES
    )


def workspace(layers: Sequence[LayerPlan]) -> int:
    """Of one example, the numbers that the largest convolution copies into its own layout: about
    half of what comes in and goes out, as measured."""
    return max(
        (
            (math.prod(layer.input_shape) + math.prod(layer.output_shape)) // 2
            for layer in walk(layers)
            if isinstance(layer.word, Convolution)
        ),
        default=0,
    )


class Activation:
    """What flows between two layers: how many numbers an example, and whether they are kept."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept = False


class Tape:
    """What a backward pass holds of one example: ``kept`` numbers, and the ``largest`` gradient of
    those that are let go.

    The gradient is taken so that it could be differentiated again (``torch.func``), so formulas
    keep the gradients that they multiply with until the end.
    """

    def __init__(self) -> None:
        self.kept = 0
        self.largest = 0

    def keep(self, activation: Activation) -> None:
        """Counts it, once."""
        if not activation.kept:
            self.kept += activation.size
            activation.kept = True

    def through(
        self, layers: Sequence[LayerPlan], x: Activation, differentiated: bool
    ) -> tuple[Activation, bool]:
        """What comes out of the layers, and whether anything before it has parameters."""
        for layer in layers:
            x, differentiated = self.past(layer, x, differentiated)
        return x, differentiated

    def past(
        self, layer: LayerPlan, x: Activation, differentiated: bool
    ) -> tuple[Activation, bool]:
        """The same of one layer."""
        word = layer.word
        if isinstance(word, Residual):
            out, inside = self.through(layer.layers, x, differentiated)
            if word.skip(layer.input_shape) is not None:
                self.keep(x)
                self.kept += out.size  # what the projection adds
            if inside:
                self.kept += x.size  # two gradients, before they are one
            return Activation(out.size), inside or bool(layer.parameters)
        out = x if word.view else Activation(math.prod(layer.output_shape))
        differentiated = differentiated or bool(layer.parameters)
        if differentiated and not word.view:
            if word.keeps_input:
                self.keep(x)
            if word.keeps_output:
                self.keep(out)
            if word.keeps_gradient:
                self.kept += out.size
            else:
                self.largest = max(self.largest, out.size)
            if isinstance(word, MaxPool1d | MaxPool2d):
                self.kept += 2 * out.size  # where the largest values were, as int64
            if isinstance(word, AdaptiveAvgPool2d):
                self.kept += (
                    3 * x.size
                )  # a gradient for each part, with zeros around it, and their sum
        return out, differentiated
