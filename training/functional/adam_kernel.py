"""Adam's update in one pass over the parameters where torch has a kernel for it: on a CPU.

That kernel takes the numbers of one job. Here they differ from job to job and from iteration to
iteration, and a graph has to hold for any number of jobs: hence an operation of our own, which
calls it for a row at a time. K jobs, R numbers a row; of a job alone neither has an axis K.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LIBRARY = torch.library.Library("fallline", "DEF")
LIBRARY.define(
    "adam(Tensor p, Tensor g, Tensor m, Tensor v,"
    " Tensor step_size, Tensor fresh1, Tensor fresh2, Tensor eps) -> (Tensor, Tensor, Tensor)"
)


def root(x: Tensor) -> Tensor:
    """√x, within 1.5 units in the last place. ``sqrt`` of MKL, which torch calls on a CPU, takes
    five times as long for zeros, and the gradient of what a ReLU has cut off is nothing else."""
    return x.rsqrt().reciprocal()


Three = tuple[Tensor, Tensor, Tensor]


def adam_by_parts(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    step_size: Tensor,
    fresh1: Tensor,
    fresh2: Tensor,
    eps: Tensor,
) -> Three:
    """m ← lerp(m, g, 1 − β₁); v ← lerp(v, g², 1 − β₂); p ← p − step_size · m / (√v + ε)."""
    m, v = torch.lerp(m, g, fresh1), torch.lerp(v, g * g, fresh2)
    return torch.addcdiv(p, step_size * m, root(v) + eps, value=-1), m, v


def adam_into(
    given: Sequence[Tensor], numbers: Sequence[Tensor], homes: Sequence[Tensor]
) -> Callable[[], None]:
    """The same as a call that leaves p, m and v in ``homes``, which may be where they are."""
    p, g, m, v = given
    moved = [
        (home, there) for home, there in zip(homes, (p, m, v), strict=True) if home is not there
    ]
    rows = [
        [[row] for row in tensor.view(-1, tensor.shape[-1]).unbind()]
        for tensor in (homes[0], g, homes[1], homes[2])
    ]
    # After endless steps nothing is left of the bias: it is corrected by step_size and eps.
    steps = [torch.tensor(torch.inf)]
    step = torch._fused_adam_

    def update() -> None:
        for home, there in moved:
            home.copy_(there)
        of_each = [number.flatten().tolist() for number in numbers]
        for p, g, m, v, step_size, fresh1, fresh2, eps in zip(*rows, *of_each, strict=True):
            step(
                p,
                g,
                m,
                v,
                [],
                steps,
                lr=step_size,
                beta1=1.0 - fresh1,
                beta2=1.0 - fresh2,
                weight_decay=0.0,
                eps=eps,
                amsgrad=False,
                maximize=False,
            )

    return update


def adam_on_cpu(p: Tensor, g: Tensor, m: Tensor, v: Tensor, *numbers: Tensor) -> Three:
    """The operation on a CPU."""
    made = torch.empty_like(p), torch.empty_like(m), torch.empty_like(v)
    adam_into((p, g, m, v), numbers, made)()
    return made


def adam_shapes(p: Tensor, g: Tensor, m: Tensor, v: Tensor, *numbers: Tensor) -> Three:
    """What it returns, without content."""
    return torch.empty_like(p), torch.empty_like(m), torch.empty_like(v)


LIBRARY.impl("adam", adam_on_cpu, "CPU")
LIBRARY.impl("adam", adam_by_parts, "CUDA")
LIBRARY.impl("adam", adam_shapes, "Meta")
ADAM = torch.ops.fallline.adam.default
