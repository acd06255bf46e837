"""The answer of ``POST /v1/jobs/validate``, as a document."""

from collections.abc import Sequence
from typing import Any, Literal

from app.api.schemas.base import Document
from app.services.jobs.estimate import Validation
from training.spec.plan import LayerPlan, Plan


class LayerDocument(Document):
    """One layer in its place; shapes without the batch. ``layers``: those inside a block, whose
    numbers are part of the block's.

    ``parameters``: how many numbers are trained. ``flops``: of one example's forward pass.
    """

    path: str
    type: str
    input_shape: list[int]
    output_shape: list[int]
    parameters: int
    flops: int
    layers: list["LayerDocument"]


class FlopsDocument(Document):
    """Of one iteration: two for each multiplication and addition of a matrix product or a
    convolution, none for anything else (as ``torch.utils.flop_counter`` counts)."""

    forward: int
    backward: int


class MemoryDocument(Document):
    """``total``: bytes that the job needs at its peak. The parts: what bytes are for, each when it
    is the largest; not all are so at once, so together they are more than the total."""

    total: int
    parameters: int
    optimizer: int
    gradients: int
    activations: int
    batch: int
    data: int
    workspace: int


class ExamplesDocument(Document):
    """Rows of each split, and how many examples all iterations see together."""

    train: int
    validation: int
    test: int
    seen: int


class Basis(Document):
    """What an estimate of time goes by: ``jobs`` recent ones that did the same work (median), or
    a calibration by FLOPs, bytes, layers and rows."""

    kind: Literal["measured", "calibrated"]
    jobs: int
    seconds_per_iteration: float


class ValidationDocument(Document):
    """What a job would do and cost. ``spec``: with every default filled in."""

    object: Literal["validation"] = "validation"
    spec: dict[str, Any]
    task: Literal["classification", "regression"]
    layers: list[LayerDocument]
    parameters: int
    flops_per_iteration: int
    flops: FlopsDocument
    memory: MemoryDocument
    iterations: int
    epochs: float
    batch_size: int
    examples: ExamplesDocument
    device: str
    estimated_seconds: float
    basis: Basis
    warnings: list[str]


def validation_document(found: Validation) -> ValidationDocument:
    """The document of a plan and its numbers."""
    plan, pace = found.plan, found.pace
    return ValidationDocument(
        spec=resolved(plan),
        task=plan.task,
        layers=layers(plan.layers),
        parameters=plan.parameter_count,
        flops_per_iteration=found.forward_flops + found.backward_flops,
        flops=FlopsDocument(forward=found.forward_flops, backward=found.backward_flops),
        memory=MemoryDocument(total=found.memory, **found.memory_parts),
        iterations=plan.iterations,
        epochs=round(plan.epoch(plan.iterations), 3),
        batch_size=plan.batch_size,
        examples=ExamplesDocument(seen=plan.iterations * plan.batch_size, **plan.rows),
        device=found.device,
        estimated_seconds=rounded(pace.seconds * plan.iterations),
        basis=Basis(
            kind="measured" if pace.jobs else "calibrated",
            jobs=pace.jobs,
            seconds_per_iteration=rounded(pace.seconds),
        ),
        warnings=found.warnings,
    )


def rounded(seconds: float) -> float:
    """To three digits: nobody knows it better."""
    return float(f"{seconds:.3g}")


def layers(planned: Sequence[LayerPlan]) -> list[LayerDocument]:
    """Each layer, and those inside it."""
    return [
        LayerDocument(
            path=layer.path,
            type=layer.word.type,
            input_shape=list(layer.input_shape),
            output_shape=list(layer.output_shape),
            parameters=layer.parameter_count,
            flops=layer.word.flops(layer.input_shape),
            layers=layers(layer.layers),
        )
        for layer in planned
    ]


def resolved(plan: Plan) -> dict[str, Any]:
    """The specification as it will be read: what follows from others is filled in."""
    spec = plan.spec.model_dump(mode="json")
    chosen = plan.preparation
    return spec | {
        "metrics": [metric.model_dump(mode="json") for metric in plan.metrics],
        "evaluate_every": plan.evaluate_every,
        "prepare": None if chosen == "scale" else chosen,
    }
