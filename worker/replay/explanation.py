"""Why a weight moved, as a document."""

from typing import Any

from training.engine.explain import Chain, Explanation
from training.engine.replay import IterationState
from training.engine.segments import segment_at
from training.tensors.data import example, raw
from worker.replay.replay_job import ReplayJob


def explanation(
    course: ReplayJob, moment: IterationState, weight: list[Any], index: int
) -> dict[str, Any]:
    """The chain rule for one example at one iteration, and the update that followed."""
    address, name, place = weight
    train = course.data.parts["train"]
    plan = segment_at(course.segments, moment.iteration).plan
    chain = Chain(plan, moment.parameters, moment.buffers, course.data, index)
    found = chain.explain(name, tuple(place))
    return {
        "iteration": moment.iteration,
        "weight": {"address": address, "value": found.weight},
        "example": shown(course, int(train.rows[index]), index),
        "forward": forward(course, found),
        "backward": backward(found),
        "finite_difference": {
            "step": found.difference_step,
            "gradient": found.difference,
            "difference": abs(found.difference - found.gradient),
        },
        "update": update(moment, name, tuple(place)),
    }


def shown(course: ReplayJob, row: int, index: int) -> dict[str, Any]:
    """The example as it came."""
    x, y = raw(course.plan, course.arrays)
    return {"index": index, **example(course.plan, x, y, row)}


def forward(course: ReplayJob, found: Explanation) -> dict[str, Any]:
    """What the network puts out, and the loss; of a classifier, its probabilities too."""
    document: dict[str, Any] = {"outputs": found.outputs, "loss": found.loss}
    if found.probabilities is not None:
        document["probabilities"] = found.probabilities
    return document


def backward(found: Explanation) -> dict[str, Any]:
    """The derivatives, from the loss back to the weight."""
    return {
        "loss_by_outputs": found.loss_by_outputs,
        "norms": found.norms,
        "factors": [vars(factor) for factor in found.factors],
        "factor_count": found.factor_count,
        "gradient": found.gradient,
    }


def update(moment: IterationState, name: str, place: tuple[int, ...]) -> dict[str, Any] | None:
    """What the batch of that iteration made of the weight; nothing after the last update."""
    if moment.gradient is None or moment.update is None:
        return None
    before, gradient, change = (
        moment.network.views(tensor)[name][place].item()
        for tensor in (moment.parameters, moment.gradient, moment.update)
    )
    after = before + change
    return {
        "lr": moment.lr,
        "gradient": gradient,
        "before": before,
        "change": change,
        "after": after,
    }
