"""Which jobs may be trained side by side, as one. Imports no torch.

The numerics class of a job follows from its specification and the device alone, and is kept for its
whole life: *fused* is computed over an axis of jobs (``training.functional.fused_layers``), even
where it is one.
"""

import math
from typing import Any

from training.catalog.base import Config
from training.catalog.layers import Dropout, Residual
from training.spec.plan import Plan, digest, walk
from training.validation.layer_checks import embedding

FUSABLE = {
    "cpu": frozenset(
        {
            *("linear", "flatten", "dropout", "relu", "leaky_relu", "gelu", "silu", "elu"),
            *("softplus", "tanh", "sigmoid", "softmax", "log_softmax"),
        }
    ),
    "cuda": frozenset[str](),
}
"""Layers that keep one job's numbers apart from its neighbours', to the bit, by device. On CUDA
none is, as long as no measurement there has shown which do; none that is not on a CPU."""
MAX_FUSED_VALUES = 2**18
"""Parameters, or outputs of a layer for a batch, over which a job is not fused."""
MAX_GROUP_PARAMETERS = {"cpu": 2**17, "cuda": 2**24}
"""Parameters of all jobs of a group together: on a CPU, what fits into a core's cache."""
MAX_GROUP_SIZE = {"cpu": 64, "cuda": 512}
"""Jobs of a group at most."""


def why_not_fusable(plan: Plan, device: str) -> str | None:
    """Why a job is of the class *sequential* there; ``None``: it is fused."""
    spec, layers = plan.spec, list(walk(plan.layers))
    if spec.deterministic:
        return "deterministic was asked for"
    if spec.fuse == "never":
        return "fuse: never was asked for"
    if spec.precision == "bf16":
        return "layers in bfloat16 are not fused"
    skips = [
        layer.word.skip(layer.input_shape) for layer in layers if isinstance(layer.word, Residual)
    ]
    words = [layer.word for layer in layers if not isinstance(layer.word, Residual)]
    for word in (*words, *filter(None, skips)):
        if word.type not in FUSABLE[device]:
            return f"{word.type} is not fused on {device}"
    widest = max(math.prod(layer.output_shape) for layer in layers)
    if plan.parameter_count > MAX_FUSED_VALUES or plan.batch_size * widest > MAX_FUSED_VALUES:
        return "it is large enough to fill a core by itself"
    return None


def max_group_size(plan: Plan, device: str) -> int:
    """How many such jobs a group holds at most."""
    return min(
        MAX_GROUP_SIZE[device], max(1, MAX_GROUP_PARAMETERS[device] // max(1, plan.parameter_count))
    )


def graph_key(plan: Plan) -> str:
    """Equal for jobs whose iterations are one graph of kernels; everything in which they still
    differ is a number that the graph is given (rates, decay, the rate of a dropout …)."""
    spec = plan.spec
    layers = [
        (
            layer.path,
            layer.word.model_dump(
                mode="json", exclude={"p"} if isinstance(layer.word, Dropout) else None
            ),
        )
        for layer in walk(plan.layers)
    ]
    return digest(
        {
            "layers": layers,
            "input": plan.facts.input_shape,
            "loss": spec.loss.model_dump(mode="json"),
            "optimizer": structure(spec.optimizer),
            "clip": spec.clip_grad_norm is not None,
            "batch": spec.batch_size,
            "precision": spec.precision,
        }
    )


def fusion_key(plan: Plan) -> str:
    """Equal for jobs that may be trained side by side: the same work on the same data."""
    return digest([graph_key(plan), data_key(plan)])


def data_key(plan: Plan) -> str:
    """Equal for jobs whose data are the same once they are loaded, and refused for the same."""
    lookup = embedding(plan.layers)
    rows = None if lookup is None else lookup.num_embeddings
    said = plan.spec.model_dump(mode="json", include={"dataset", "split"})
    return digest([said, plan.preparation, plan.task, rows])


def structure(word: Config) -> dict[str, Any]:
    """What an update rule chooses its terms by: of every number, whether it is one."""
    found = {}
    for field, value in word.model_dump(mode="json").items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        found[field] = bool(value) if number else isinstance(value, list) or value
    return found
