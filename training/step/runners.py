"""Ways to run the step of one job. Within a numerics class all of them give equal bits."""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from training.functional.fused_layers import width
from training.step.step import Inputs, Outputs, State, Step

RunnerName = Literal["eager", "traced", "captured"]


class Runner(Protocol):
    """Runs one update."""

    name: RunnerName

    def __call__(self, state: State, inputs: Inputs) -> tuple[State, Outputs]: ...


class Eager:
    """The step as it is written: runs at once, pays for autograd's bookkeeping every time."""

    name: RunnerName = "eager"

    def __init__(self, step: Step) -> None:
        self.step = step

    @torch.no_grad()
    def __call__(self, state: State, inputs: Inputs) -> tuple[State, Outputs]:
        """One update."""
        return self.step(state, inputs)


class Single:
    """One job of the class *fused*, alone: a step of several jobs, given one."""

    name: RunnerName = "eager"

    def __init__(self, step: Step) -> None:
        self.step = step

    @torch.no_grad()
    def __call__(self, state: State, inputs: Inputs) -> tuple[State, Outputs]:
        """One update."""
        size = state.parameters.shape[0]
        given = inputs._replace(
            x=inputs.x.unsqueeze(0),
            y=inputs.y.unsqueeze(0),
            noise={path: mask.unsqueeze(0) for path, mask in inputs.noise.items()},
            hyper={name: number.reshape(1, 1) for name, number in inputs.hyper.items()},
        )
        updated, outputs = self.step(stacked([state]), given)
        return row(updated, 0, size), Outputs(outputs.loss[0], outputs.gradient[0, :size])


def stacked(states: Sequence[State]) -> State:
    """States [P] of several jobs as one [K, R], in memory of its own: rows are padded with zeros to
    whole vectors."""

    def stack(rows: Sequence[Tensor]) -> Tensor:
        size = rows[0].shape[0]
        whole = rows[0].new_zeros(len(rows), width(size))
        for k, row_P in enumerate(rows):
            whole[k, :size] = row_P
        return whole

    slots = {name: stack([s.slots[name] for s in states]) for name in states[0].slots}
    return State(stack([s.parameters for s in states]), {}, slots)


def row(state: State, k: int, size: int) -> State:
    """The state of job ``k``, without the padding; the memory is shared."""
    slots = {name: slot[k, :size] for name, slot in state.slots.items()}
    return State(state.parameters[k, :size], {}, slots)


class Traced:
    """The step as one flat graph of kernels, forward and backward, recorded once.

    The graph calls the same kernels in the same order as the eager step, so bits are equal.
    """

    name: RunnerName = "traced"

    def __init__(self, step: Step, state: State, inputs: Inputs) -> None:
        # Sorted, because a state that was read from a file may hold its names in another order.
        self.buffers, self.slots = sorted(state.buffers), sorted(state.slots)
        self.noise, self.hyper = sorted(inputs.noise), sorted(inputs.hyper)
        self.weights = sorted(inputs.loss_weights)

        def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
            count = 1 + len(self.buffers) + len(self.slots)
            updated, outputs = step(self.state(tensors[:count]), self.inputs(tensors[count:]))
            return (*self.flatten(updated), *outputs)

        with torch.no_grad():
            graph = make_fx(flat)(*self.flatten(state), *self.flatten_inputs(inputs))
        # The plain forward, past the module's hooks: they cost more than a small kernel.
        self.forward = graph.forward

    @torch.no_grad()
    def __call__(self, state: State, inputs: Inputs) -> tuple[State, Outputs]:
        """One update."""
        *updated, loss, gradient = self.forward(*self.flatten(state), *self.flatten_inputs(inputs))
        return self.state(updated), Outputs(loss, gradient)

    def flatten(self, state: State) -> tuple[Tensor, ...]:
        """A state as the graph takes and gives it."""
        buffers, slots = state.buffers, state.slots
        return (
            state.parameters,
            *[buffers[name] for name in self.buffers],
            *[slots[name] for name in self.slots],
        )

    def flatten_inputs(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """One iteration's inputs as the graph takes them."""
        noise, hyper, weights = inputs.noise, inputs.hyper, inputs.loss_weights
        return (
            inputs.x,
            inputs.y,
            *[noise[name] for name in self.noise],
            *[hyper[name] for name in self.hyper],
            *[weights[name] for name in self.weights],
        )

    def state(self, tensors: Sequence[Tensor]) -> State:
        """The inverse of ``flatten``."""
        end = 1 + len(self.buffers)
        buffers = dict(zip(self.buffers, tensors[1:end], strict=True))
        return State(tensors[0], buffers, dict(zip(self.slots, tensors[end:], strict=True)))

    def inputs(self, tensors: Sequence[Tensor]) -> Inputs:
        """The inverse of ``flatten_inputs``."""
        named = iter(tensors[2:])
        noise, hyper, weights = (
            dict(zip(names, named, strict=False))
            for names in (self.noise, self.hyper, self.weights)
        )
        return Inputs(tensors[0], tensors[1], noise, hyper, weights)
