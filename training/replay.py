"""Any iteration again: from the nearest checkpoint the same steps lead to the same bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from training.course import beginning
from training.data import Data
from training.network import Network, Tensors
from training.numerics import Numerics
from training.plan import Leg
from training.run import Checkpoint, Training
from training.step import State


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
    legs: Sequence[Leg],
    data: Data,
    numerics: Numerics,
    n: int,
    nearest: Checkpoint | None,
    last: int,
    progress: Callable[[], None] = lambda: None,
) -> Moment:
    """Iteration ``n`` of a job that made ``last`` updates, from a checkpoint at or before ``n``.

    ``progress`` is called at every step.
    """
    start = nearest or beginning(legs, data, numerics)
    assert start.iteration <= n <= last
    job, state = arrive(legs, data, numerics, start, n, progress)
    if n == last:
        return Moment(n, job.network, state.parameters, state.buffers)
    after, outputs = job.run(state, job.feed(n))
    return Moment(
        n,
        job.network,
        state.parameters,
        state.buffers,
        loss=outputs.loss.item(),
        lr=job.plan.learning_rate(n),
        gradient=outputs.gradient,
        update=after.parameters - state.parameters,
    )


def arrive(
    legs: Sequence[Leg],
    data: Data,
    numerics: Numerics,
    start: Checkpoint,
    n: int,
    progress: Callable[[], None],
) -> tuple[Training, State]:
    """The state before update ``n``, and the training that makes this update."""
    state, at = start.state, start.iteration
    for leg in legs:
        rules = leg.until is None or n < leg.until
        end = n if leg.until is None else min(n, leg.until)
        if end <= at and not rules:
            continue
        job = Training(leg.plan, data, numerics)
        for i in range(at, end):
            state, _ = job.run(state, job.feed(i))
            progress()
            if i - at == EAGER_STEPS and job.run.name == "eager":
                job.trace(state, i)
        at = max(at, end)
        if rules:
            return job, state
    raise AssertionError("the last leg has no end")


EAGER_STEPS = 200
"""Steps after which a trace (about 0.1 s) pays in a replay."""
