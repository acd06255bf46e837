"""Any iteration again: from the nearest checkpoint the same steps lead to the same bits."""

from dataclasses import dataclass

from torch import Tensor

from training.data import Data
from training.network import Network, Tensors
from training.numerics import Numerics
from training.plan import Plan
from training.run import Checkpoint, Training


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
    plan: Plan, data: Data, numerics: Numerics, n: int, nearest: Checkpoint | None, last: int
) -> Moment:
    """Iteration ``n`` of a job that made ``last`` updates, from a checkpoint at or before ``n``."""
    job = Training(plan, data, numerics)
    start = nearest or job.beginning()
    assert start.iteration <= n <= last
    state = start.state
    for i in range(start.iteration, n):
        state, _ = job.run(state, job.feed(i))
        if i - start.iteration == EAGER_STEPS and job.run.name == "eager":
            job.trace(state, i)
    if n == last:
        return Moment(n, job.network, state.parameters, state.buffers)
    after, outputs = job.run(state, job.feed(n))
    return Moment(
        n,
        job.network,
        state.parameters,
        state.buffers,
        loss=outputs.loss.item(),
        lr=plan.learning_rate(n),
        gradient=outputs.gradient,
        update=after.parameters - state.parameters,
    )


EAGER_STEPS = 200
"""Steps after which a trace (about 0.1 s) pays in a replay."""
