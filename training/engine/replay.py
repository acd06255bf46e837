"""Any iteration again: from the nearest checkpoint the same steps lead to the same bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from training.engine.blocks import Checkpoint
from training.engine.loop import Loop
from training.engine.segments import SegmentedJob
from training.functional.network import Network, Tensors
from training.spec.plan import Segment
from training.tensors.data import Data
from training.tensors.numerics import Numerics

LONGEST_BLOCK_SECONDS = 0.05
"""Time between two calls of ``progress``, if an iteration takes no longer."""


@dataclass(frozen=True)
class IterationState:
    """One iteration: the state before update n, and what the update did. P: all parameters.

    After the last update there is no further one: ``loss``, ``lr``, ``gradient`` and ``update``
    are ``None``.
    """

    iteration: int
    network: Network
    parameters: Tensor
    buffers: Tensors
    loss: float | None = None
    lr: float | None = None
    gradient: Tensor | None = None
    update: Tensor | None = None


def replay(
    segments: Sequence[Segment],
    data: Data,
    numerics: Numerics,
    n: int,
    nearest: Checkpoint | None,
    last: int,
    progress: Callable[[], None] = lambda: None,
    *,
    fused: bool | None = None,
) -> IterationState:
    """Iteration ``n`` of a job that made ``last`` updates, from a checkpoint at or before ``n``.

    ``progress`` is called on the way.
    """
    job = SegmentedJob(segments, data, numerics, nearest, fused=fused, stop=n, evaluates=False)
    assert job.checkpoint.iteration <= n <= last
    loop = Loop(LONGEST_BLOCK_SECONDS)
    while job.checkpoint.iteration < n:
        loop.blocks([job])
        progress()
    training, state = job.training, job.checkpoint.state
    if n == last:
        return IterationState(n, training.network, state.parameters, state.buffers)
    after, outputs = training.run(state, training.feed(n))
    return IterationState(
        n,
        training.network,
        state.parameters,
        state.buffers,
        loss=outputs.loss.item(),
        lr=training.plan.learning_rate(n),
        gradient=outputs.gradient,
        update=after.parameters - state.parameters,
    )
