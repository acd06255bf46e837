"""Evaluation is nothing but the forward pass: it changes no weight and no running statistic."""

import torch
from torch import Tensor

from training.functional.losses import LOSS, LossWeights, class_logits
from training.functional.metrics import MEASURE
from training.functional.network import Network, Tensors
from training.spec.plan import Plan
from training.tensors.data import Data, Part

EVALUATION_ROWS = 4096
"""Examples a pass; bounds the memory of activations."""


@torch.no_grad()
def outputs(network: Network, parameters_P: Tensor, buffers: Tensors, x: Tensor) -> Tensor:
    """The network's outputs [N, *output] for inputs [N, *input], in evaluation mode."""
    views = network.views(parameters_P)
    passes = [network.apply(views, buffers, part)[0] for part in x.split(EVALUATION_ROWS)]
    return passes[0] if len(passes) == 1 else torch.cat(passes)


def evaluate(
    plan: Plan,
    network: Network,
    data: Data,
    part: Part,
    loss_weights: LossWeights,
    parameters_P: Tensor,
    buffers: Tensors,
) -> dict[str, float]:
    """Loss and metrics on one split, by name.

    The loss is in the units that training minimises; metrics of numbers are in the target's own.
    """
    output = outputs(network, parameters_P, buffers, part.x)
    loss = LOSS[plan.spec.loss.type](plan.spec.loss, output, part.y, loss_weights).item()
    if plan.task == "classification":
        output, target = class_logits(output), part.y
    else:  # what the targets were shifted by is in both, and no error knows it
        scale_D = torch.from_numpy(data.preparation.y_scale).to(output.device)
        output, target = output.double() * scale_D, part.y.double() * scale_D
    return {"loss": loss} | {
        metric.type: MEASURE[metric.type](metric, output, target) for metric in plan.metrics
    }
