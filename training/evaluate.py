"""Evaluation is nothing but the forward pass: it changes no weight and no running statistic."""

import torch
from torch import Tensor

from training.data import Data, Part
from training.losses import LOSS
from training.network import Network, Tensors
from training.plan import Plan

ROWS = 4096
"""Examples a pass; bounds the memory of activations."""


@torch.no_grad()
def outputs(network: Network, parameters_P: Tensor, buffers: Tensors, x: Tensor) -> Tensor:
    """The network's outputs [N, *output] for inputs [N, *input], in evaluation mode."""
    views = network.views(parameters_P)
    passes = [network.apply(views, buffers, part)[0] for part in x.split(ROWS)]
    return passes[0] if len(passes) == 1 else torch.cat(passes)


def evaluate(
    plan: Plan, network: Network, data: Data, part: Part, parameters_P: Tensor, buffers: Tensors
) -> dict[str, float]:
    """Loss and metrics on one split, by name.

    The loss is in the units that training minimises; ``mse``, ``mae`` and ``r2`` are in the
    target's own.
    """
    output = outputs(network, parameters_P, buffers, part.x)
    loss = LOSS[plan.spec.loss.type](plan.spec.loss, output, part.y).item()
    if plan.task == "classification":
        known = {"accuracy": (output.argmax(1) == part.y).double().mean().item()}
    else:
        known = regression(output, part.y, torch.from_numpy(data.preparation.y_scale))
    return {"loss": loss} | {name: known[name] for name in plan.metrics}


def regression(output_ND: Tensor, target_ND: Tensor, scale_D: Tensor) -> dict[str, float]:
    """Errors in the target's own units; R² is averaged over the target's columns.

    R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; of a constant target it is 0 (1 when every guess is right).
    """
    error_ND = (output_ND.double() - target_ND.double()) * scale_D.to(output_ND.device)
    spread_ND = (target_ND.double() - target_ND.double().mean(0)) * scale_D.to(output_ND.device)
    residual_D, total_D = error_ND.square().sum(0), spread_ND.square().sum(0)
    unexplained_D = torch.where(total_D > 0, residual_D / total_D, (residual_D > 0).double())
    return {
        "mse": error_ND.square().mean().item(),
        "mae": error_ND.abs().mean().item(),
        "r2": 1.0 - unexplained_D.mean().item(),
    }
