"""Any iteration again: from the nearest checkpoint the same steps lead to the same bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from training.blocks import Checkpoint
from training.data import Data
from training.loop import Loop
from training.network import Network, Tensors
from training.numerics import Numerics
from training.plan import Segment
from training.segments import SegmentedJob

LONGEST_BLOCK_SECONDS = 0.05
"""Time between two calls of ``progress``, if an iteration takes no longer."""


@dataclass(frozen=True)
class Moment:
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
) -> Moment:
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
        return Moment(n, training.network, state.parameters, state.buffers)
    after, outputs = training.run(state, training.feed(n))
    return Moment(
        n,
        training.network,
        state.parameters,
        state.buffers,
        loss=outputs.loss.item(),
        lr=training.plan.learning_rate(n),
        gradient=outputs.gradient,
        update=after.parameters - state.parameters,
    )
