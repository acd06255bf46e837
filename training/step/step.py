"""The training step: a pure function, from which every runner is made."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from training.functional.losses import LossFunction, LossWeights
from training.functional.network import Network, Tensors
from training.functional.optimizers import RULES, Hyper, Slots
from training.spec.plan import Plan
from training.tensors.numerics import Numerics


class State(NamedTuple):
    """All that one update changes. P: all parameters; buffers by ``state_dict`` name.

    Of K jobs side by side everything, here and below, has an axis K in front.
    """

    parameters: Tensor
    buffers: Tensors
    slots: Slots

    def copied(self) -> "State":
        """The same in memory of its own."""
        buffers = {name: buffer.clone() for name, buffer in self.buffers.items()}
        slots = {name: slot.clone() for name, slot in self.slots.items()}
        return State(self.parameters.clone(), buffers, slots)

    def overwrite(self, other: "State") -> None:
        """Takes the content of another, in the memory that is there."""
        self.parameters.copy_(other.parameters)
        for name, buffer in self.buffers.items():
            buffer.copy_(other.buffers[name])
        for name, slot in self.slots.items():
            slot.copy_(other.slots[name])


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


def make_step(plan: Plan, network: Network, loss_of: LossFunction, numerics: Numerics) -> Step:
    """The step of a job, or of several. What varies with the iteration comes in as tensors, and so
    does what one of several jobs has for itself."""
    loss_word, optimizer = plan.spec.loss, plan.spec.optimizer
    rule = RULES[optimizer.type]
    clip = plan.spec.clip_grad_norm

    def objective(
        parameters: Tensors, buffers: Tensors, inputs: Inputs
    ) -> tuple[Tensor, tuple[Tensor, Tensors]]:
        with numerics.narrowed():
            output, updated = network.apply(parameters, buffers, inputs.x, inputs.noise)
        output = output.to(numerics.dtype)
        loss = loss_of(loss_word, output, inputs.y, inputs.loss_weights)
        # Summed over jobs, never averaged: none must weigh what its neighbours learn.
        return loss.sum() if loss.dim() else loss, (loss, updated)

    differentiate = grad_and_value(objective, has_aux=True)

    def step(state: State, inputs: Inputs) -> tuple[State, Outputs]:
        parameters = network.views(state.parameters)
        gradients, (_, (loss, buffers)) = differentiate(parameters, state.buffers, inputs)
        axes = state.parameters.dim() - 1
        flat = [gradients[name].flatten(axes) for name in parameters]
        spare = state.parameters.shape[-1] - sum(piece.shape[-1] for piece in flat)
        if spare:  # behind the last parameter of a padded row
            flat.append(state.parameters.new_zeros(*state.parameters.shape[:-1], spare))
        gradient_P = torch.cat(flat, -1)
        used_P = gradient_P if clip is None else clipped(gradient_P, inputs.hyper["clip_grad_norm"])
        updated_P, slots = rule.update(
            optimizer, state.parameters, used_P, state.slots, inputs.hyper
        )
        return State(updated_P, buffers, slots), Outputs(loss, gradient_P)

    return step


def clipped(gradient_P: Tensor, most: Tensor) -> Tensor:
    """g·min(1, ``most`` / (‖g‖ + 10⁻⁶)), as ``torch.nn.utils.clip_grad_norm_``."""
    norm = torch.linalg.vector_norm(gradient_P, dim=-1, keepdim=True)
    factor: Tensor = most / (norm + 1e-6)
    return gradient_P * factor.clamp(max=1.0)
