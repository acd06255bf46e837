"""What a job would do and cost: its plan, and how long jobs like it have taken."""

import math
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.services.datasets import dataset_repository
from app.services.jobs.submission import checked
from app.services.operations import workers
from app.tables import Job
from training.spec.plan import Plan, walk
from training.validation import flops, memory_estimate
from training.validation.check import Limits

RECENT_JOB_COUNT = 5
"""Jobs of the same signature whose pace is asked for."""
MIN_PACE_ITERATIONS = 20
"""Iterations after which a job has shown its pace."""

FLOPS_PER_SECOND = {"cpu": 2e10, "cuda": 5e12}
"""FLOPs a second that an iteration reaches: measured on one core; of a GPU a cautious guess, which
serves until a job of the same shape has shown its pace there."""
ITERATION_SECONDS, LAYER_SECONDS = {"cpu": 1.0e-4, "cuda": 3e-4}, {"cpu": 3e-5, "cuda": 1e-4}
"""Seconds of an iteration that computes nothing, and that each layer adds: kernels being called."""
SECONDS_PER_BYTE = {"cpu": 1.5e-10, "cuda": 1e-12}
"""Seconds that a byte costs which an update reads or writes."""
PASS_COUNT = 12
"""How often an update looks at each parameter, reading and writing."""
INDEX_SECONDS, NOISE_SECONDS = 5e-8, 1e-8
"""Seconds that drawing takes, always on a CPU: of a row's place in an order, and of a number of a
dropout mask."""
ROW_SECONDS = {"cpu": 1e-8, "cuda": 1e-10}
"""Seconds that it takes to fetch an example of a batch, beside those of its bytes."""


class Pace(NamedTuple):
    """Seconds an iteration takes, and where that is known from.

    ``jobs``: how many like it were measured; 0: it follows from FLOPs and from calibration.
    """

    seconds: float
    jobs: int


class Validation(NamedTuple):
    """A plan with its numbers. ``flops``: of an iteration, forward and backward. ``memory``: bytes
    at the peak, ``memory_parts`` each part at its own."""

    plan: Plan
    forward_flops: int
    backward_flops: int
    memory: int
    memory_parts: dict[str, int]
    device: str
    pace: Pace
    warnings: list[str]


def validate(session: Session, raw: Any, limits: Limits) -> Validation:
    """What the job would be; raises ``Invalid`` with every mistake, as its creation would."""
    plan = checked(raw, limits, dataset_repository.looker(session))
    present = workers.devices(session)
    device = chosen(plan, present)
    batch = plan.batch_size
    return Validation(
        plan,
        batch * flops.forward(plan),
        batch * flops.backward(plan),
        memory_estimate.estimate(plan).total,
        memory_estimate.parts(plan),
        device,
        pace(session, plan, device),
        warnings(plan, present),
    )


def chosen(plan: Plan, present: frozenset[str]) -> str:
    """The device that would run it: the one it asks for, else the best that is there."""
    if plan.spec.device != "auto":
        return plan.spec.device
    return "cuda" if "cuda" in present else "cpu"


def pace(session: Session, plan: Plan, device: str) -> Pace:
    """Seconds an iteration: of recent jobs that did the same work, else by calibration."""
    query = (
        select(Job.running_seconds, Job.iteration)
        .where(
            Job.signature == plan.signature,
            Job.device == device,
            Job.iteration >= min(MIN_PACE_ITERATIONS, plan.iterations),
            Job.running_seconds > 0,
        )
        .order_by(Job.id.desc())
        .limit(RECENT_JOB_COUNT)
    )
    seen = sorted(seconds / iterations for seconds, iterations in session.execute(query))
    if seen:
        return Pace(seen[len(seen) // 2], len(seen))
    return Pace(calibrated(plan, device), 0)


def calibrated(plan: Plan, device: str) -> float:
    """Seconds an iteration should take, with its share of the evaluations."""
    return computing(plan, device) + feeding(plan, device) + evaluating(plan, device)


def computing(plan: Plan, device: str) -> float:
    """Of an update: arithmetic, memory traffic, and calling the kernels."""
    activations = memory_estimate.parts(plan)["activations"]
    moved = PASS_COUNT * 4 * plan.parameter_count + 3 * activations
    layers = len(plan.parameters) + len(plan.layers)
    called = ITERATION_SECONDS[device] + LAYER_SECONDS[device] * layers
    return (
        called + flops.iteration(plan) / FLOPS_PER_SECOND[device] + moved * SECONDS_PER_BYTE[device]
    )


def feeding(plan: Plan, device: str) -> float:
    """Of drawing its batch and its noise, and of fetching the examples."""
    noise = NOISE_SECONDS * sum(memory_estimate.masks(plan))
    if plan.spec.batch_size == "full":
        return noise
    rows = plan.rows["train"]
    epochs = math.ceil(plan.epoch(plan.iterations))  # an epoch that is begun is drawn as a whole
    drawn = 0 if rows == 1 else epochs * rows / plan.iterations
    moved = (
        2 * memory_estimate.FLOAT32_BYTES * math.prod(plan.facts.input_shape)
    )  # read once, and written once
    fetched = plan.batch_size * (ROW_SECONDS[device] + moved * SECONDS_PER_BYTE[device])
    return noise + drawn * INDEX_SECONDS + fetched


def evaluating(plan: Plan, device: str) -> float:
    """The validation data every now and then, and all data at the end: forward passes."""
    examples = plan.rows["validation"] / plan.evaluate_every
    examples += sum(plan.rows.values()) / plan.iterations
    numbers = sum(math.prod(layer.output_shape) for layer in walk(plan.layers))
    moved = 2 * memory_estimate.FLOAT32_BYTES * numbers  # read once, and written once
    return examples * (
        flops.forward(plan) / FLOPS_PER_SECOND[device] + moved * SECONDS_PER_BYTE[device]
    )


def warnings(plan: Plan, present: frozenset[str]) -> list[str]:
    """What is allowed and still probably not meant."""
    found = []
    wanted = plan.spec.device
    if not present:
        found.append("no worker is there now: the job would wait for one")
    elif wanted != "auto" and wanted not in present:
        found.append(f"no worker with the device {wanted} is there now: the job would wait for one")
    if plan.batch_size > plan.rows["train"]:
        found.append(
            f"a batch of {plan.batch_size} repeats the {plan.rows['train']} training examples"
        )
    if plan.layers[-1].word.type == "softmax" and plan.spec.loss.type == "cross_entropy":
        found.append("cross_entropy has a softmax of its own: the last layer's is one too many")
    return found
