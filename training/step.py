"""The training step: a pure function, from which every runner is made."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from training.losses import LOSS
from training.network import Network, Tensors
from training.optimizers import RULES, Hyper, Slots
from training.plan import Plan


class State(NamedTuple):
    """All that one update changes. P: all parameters; buffers by ``state_dict`` name."""

    parameters: Tensor
    buffers: Tensors
    slots: Slots


class Inputs(NamedTuple):
    """All that one update is given: examples x [B, *shape], targets y [B] or [B, D], the random
    draws by layer path, and the optimizer's numbers as tensors without axes."""

    x: Tensor
    y: Tensor
    noise: Tensors
    hyper: Hyper


class Outputs(NamedTuple):
    """What one update reports of the state before it: the loss (a scalar) and its gradient [P]."""

    loss: Tensor
    gradient: Tensor


Step = Callable[[State, Inputs], tuple[State, Outputs]]


def make_step(plan: Plan, network: Network) -> Step:
    """The step of one job. What varies with the iteration comes in as tensors."""
    loss_word, optimizer = plan.spec.loss, plan.spec.optimizer
    loss_of, rule = LOSS[loss_word.type], RULES[optimizer.type]

    def objective(parameters: Tensors, buffers: Tensors, inputs: Inputs) -> tuple[Tensor, Tensors]:
        output, updated = network.apply(parameters, buffers, inputs.x, inputs.noise)
        return loss_of(loss_word, output, inputs.y), updated

    differentiate = grad_and_value(objective, has_aux=True)

    def step(state: State, inputs: Inputs) -> tuple[State, Outputs]:
        parameters = network.views(state.parameters)
        gradients, (loss, buffers) = differentiate(parameters, state.buffers, inputs)
        gradient_P = torch.cat([gradients[name].reshape(-1) for name in parameters])
        updated_P, slots = rule.update(
            optimizer, state.parameters, gradient_P, state.slots, inputs.hyper
        )
        return State(updated_P, buffers, slots), Outputs(loss, gradient_P)

    return step
