"""The training step: a pure function, from which every runner is made."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from training.losses import LOSS, LossWeights
from training.network import Network, Tensors
from training.numerics import Numerics
from training.optimizers import RULES, Hyper, Slots
from training.plan import Plan


class State(NamedTuple):
    """All that one update changes. P: all parameters; buffers by ``state_dict`` name."""

    parameters: Tensor
    buffers: Tensors
    slots: Slots


class Inputs(NamedTuple):
    """All that one update is given: examples x [B, *shape], targets y [B] or [B, D], the random
    draws by layer path, the optimizer's numbers as tensors without axes, and what the loss weighs
    by."""

    x: Tensor
    y: Tensor
    noise: Tensors
    hyper: Hyper
    loss_weights: LossWeights


class Outputs(NamedTuple):
    """What one update reports of the state before it: the loss (a scalar) and its gradient [P], as
    it is before any clipping."""

    loss: Tensor
    gradient: Tensor


Step = Callable[[State, Inputs], tuple[State, Outputs]]


def make_step(plan: Plan, network: Network, numerics: Numerics) -> Step:
    """The step of one job. What varies with the iteration comes in as tensors."""
    loss_word, optimizer = plan.spec.loss, plan.spec.optimizer
    loss_of, rule = LOSS[loss_word.type], RULES[optimizer.type]
    clip = plan.spec.clip_grad_norm

    def objective(parameters: Tensors, buffers: Tensors, inputs: Inputs) -> tuple[Tensor, Tensors]:
        with numerics.narrowed():
            output, updated = network.apply(parameters, buffers, inputs.x, inputs.noise)
        output = output.to(numerics.dtype)
        return loss_of(loss_word, output, inputs.y, inputs.loss_weights), updated

    differentiate = grad_and_value(objective, has_aux=True)

    def step(state: State, inputs: Inputs) -> tuple[State, Outputs]:
        parameters = network.views(state.parameters)
        gradients, (loss, buffers) = differentiate(parameters, state.buffers, inputs)
        gradient_P = torch.cat([gradients[name].reshape(-1) for name in parameters])
        used_P = gradient_P if clip is None else clipped(gradient_P, inputs.hyper["clip_grad_norm"])
        updated_P, slots = rule.update(
            optimizer, state.parameters, used_P, state.slots, inputs.hyper
        )
        return State(updated_P, buffers, slots), Outputs(loss, gradient_P)

    return step


def clipped(gradient_P: Tensor, most: Tensor) -> Tensor:
    """g·min(1, ``most`` / (‖g‖ + 10⁻⁶)), as ``torch.nn.utils.clip_grad_norm_``."""
    factor: Tensor = most / (torch.linalg.vector_norm(gradient_P) + 1e-6)
    return gradient_P * factor.clamp(max=1.0)
