"""Why one weight moved: the chain rule for one example, written out and checked.

The pass is the one that predicts (no dropout, running statistics), in float64: a batch of one has
no statistics of its own, and a finite difference in float32 would drown in rounding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.functional import jvp

from training.functional.losses import LOSS, class_logits, loss_weights
from training.functional.network import Network, Tensors
from training.spec.plan import Plan
from training.tensors.data import Data
from training.tensors.numerics import Numerics

DIFFERENCE_STEP_RATIO = 1e-6
"""Of the finite difference, relative to the weight (or to 1, if that is more)."""
MAX_LISTED_COUNT = 64
"""Places of a layer's output whose factors are listed, those that contribute most."""


@dataclass(frozen=True)
class Factor:
    """One place of the layer's output z that the weight w moves: ∂C/∂w = Σ ∂C/∂z · ∂z/∂w."""

    place: tuple[int, ...]
    loss_by_output: float
    output_by_weight: float


@dataclass(frozen=True)
class Explanation:
    """The loss C of one example and its derivative by one weight.

    ``outputs`` and ``loss_by_outputs`` are those of the network; ``norms``: of ∂C/∂z for the output
    z of every layer, in their order. ``factors`` are the ``MOST`` largest of ``factor_count``.
    """

    weight: float
    outputs: list[float]
    probabilities: list[float] | None
    loss: float
    loss_by_outputs: list[float]
    norms: dict[str, float]
    factors: list[Factor]
    factor_count: int
    gradient: float
    difference_step: float
    difference: float


class Chain:
    """The network at fixed weights and one example, in float64."""

    def __init__(self, plan: Plan, parameters_P: Tensor, buffers: Tensors, data: Data, i: int):
        part = data.parts["train"]
        self.plan = plan
        exact = Numerics(part.x.device, torch.float64)
        self.loss_weights = loss_weights(plan.spec.loss, data.class_counts, exact)
        self.network = Network(plan.layers)
        self.parameters = self.network.views(parameters_P.double())
        self.buffers = {n: b.double() if b.is_floating_point() else b for n, b in buffers.items()}
        self.x = part.x[i : i + 1].double()
        self.y = part.y[i : i + 1]
        if self.y.is_floating_point():
            self.y = self.y.double()

    def explain(self, name: str, index: tuple[int, ...]) -> Explanation:
        """The derivative by the element ``index`` of the parameter ``name``, by both ways."""
        outputs, loss, weight_gradient, deltas = self.backward(name)
        layer = next(k for k, one in enumerate(self.plan.layers) if name in one.parameters)
        factors = self.factors(name, index, layer, deltas[layer])
        step, difference = self.finite_difference(name, index)
        return Explanation(
            weight=self.parameters[name][index].item(),
            outputs=outputs.flatten().tolist(),
            probabilities=self.probabilities(outputs),
            loss=loss,
            loss_by_outputs=deltas[-1].flatten().tolist(),
            norms={
                one.path: delta.norm().item()
                for one, delta in zip(self.plan.layers, deltas, strict=True)
            },
            factors=factors[:MAX_LISTED_COUNT],
            factor_count=len(factors),
            gradient=weight_gradient[index].item(),
            difference_step=step,
            difference=difference,
        )

    def backward(self, name: str) -> tuple[Tensor, float, Tensor, list[Tensor]]:
        """The outputs, the loss, its gradient by the parameter, and by every layer's output."""
        with torch.enable_grad():
            weight = self.parameters[name].detach().requires_grad_()
            parameters, x, outputs = self.parameters | {name: weight}, self.x, list[Tensor]()
            for layer in self.plan.layers:
                x, _ = Network([layer]).apply(parameters, self.buffers, x)
                # Before the weight's own layer nothing depends on it: such an output is a leaf.
                x = x if x.requires_grad else x.detach().requires_grad_()
                outputs.append(x)
            loss = self.loss_of(x)
            gradient, *deltas = torch.autograd.grad(
                loss, [weight, *outputs], materialize_grads=True
            )
        return x.detach(), loss.item(), gradient, deltas

    def factors(self, name: str, index: tuple[int, ...], layer: int, delta: Tensor) -> list[Factor]:
        """Where the layer's output moves with the weight, the largest contributions first."""
        upto = Network(self.plan.layers[: layer + 1])
        direction = torch.zeros_like(self.parameters[name])
        direction[index] = 1.0

        def output(weight: Tensor) -> Tensor:
            return upto.apply(self.parameters | {name: weight}, self.buffers, self.x)[0]

        slope: Tensor = jvp(output, self.parameters[name], direction)[1]
        found = [
            Factor(tuple(place[1:]), delta[tuple(place)].item(), slope[tuple(place)].item())
            for place in slope.nonzero().tolist()
        ]
        return sorted(found, key=lambda f: -abs(f.loss_by_output * f.output_by_weight))

    def finite_difference(self, name: str, index: tuple[int, ...]) -> tuple[float, float]:
        """The step h and (C(w + h) − C(w − h)) / 2h."""
        step = DIFFERENCE_STEP_RATIO * max(1.0, abs(self.parameters[name][index].item()))
        losses = []
        for sign in (1.0, -1.0):
            moved = self.parameters[name].clone()
            moved[index] += sign * step
            output, _ = self.network.apply(self.parameters | {name: moved}, self.buffers, self.x)
            losses.append(self.loss_of(output).item())
        return step, (losses[0] - losses[1]) / (2 * step)

    def probabilities(self, outputs: Tensor) -> list[float] | None:
        """Of each class, where the target is one."""
        if self.plan.task != "classification":
            return None
        return class_logits(outputs).softmax(1).flatten().tolist()

    def loss_of(self, output: Tensor) -> Tensor:
        """C, as the job minimises it."""
        word = self.plan.spec.loss
        return LOSS[word.type](word, output, self.y, self.loss_weights)
