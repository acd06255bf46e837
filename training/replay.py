"""Any iteration again: from the nearest checkpoint the same steps lead to the same bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from training.blocks import Checkpoint
from training.course import beginning
from training.data import Data
from training.job import Training
from training.network import Network, Tensors
from training.numerics import Numerics
from training.plan import Leg
from training.run import group_of
from training.step import State

LOOK = 0.05
"""Seconds between two calls of ``progress``, or one iteration."""


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

    ``progress`` is called on the way.
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
    for leg in legs:
        rules = leg.until is None or n < leg.until
        end = n if leg.until is None else min(n, leg.until)
        if end <= start.iteration and not rules:
            continue
        job = Training(leg.plan, data, numerics, end, evaluates=False)
        group = group_of([job])
        while start.iteration < end:
            (block,) = group.blocks([start], LOOK)
            group.hasten([block])
            start = block.checkpoint
            progress()
        if rules:
            return job, start.state
    raise AssertionError("the last leg has no end")
