"""Would compiled iterations be faster than the engine's, and by how much?

    python -m benchmarks.compiled

Ours: the graph of an iteration as the engine runs it on a CPU (``training.step.cpu_program``; a
job with convolutions: its trace). Beside it the same graph compiled by TorchInductor for just
these shapes, which needs a C++ compiler. Both begin with the same real state, batch and numbers
and go on from what they made. Printed: microseconds an iteration on one thread (the least of
several runs), the seconds that compiling took, and after how many iterations those are earned back.

``apart``: whether a job's bits are the same alone, among five and among all when the compiled code
holds for any number of jobs, as a class of its own would have to have it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from benchmarks.engine import MLP, cnn, prepared
from training.engine.fused_group import FusedGroup
from training.engine.job import TrainingJob
from training.functional.adam_kernel import ADAM, adam_by_parts
from training.step.batches import Batch
from training.step.runners import Traced
from training.step.step import State
from training.tensors.numerics import Numerics

SGD: dict[str, Any] = {"type": "sgd", "lr": 0.05, "momentum": 0.9}
ADAM_WORD: dict[str, Any] = {"type": "adam", "lr": 1e-3}
P1: list[Any] = [
    *({"type": "linear", "out_features": 64}, "relu"),
    *({"type": "linear", "out_features": 64}, "relu"),
    {"type": "linear", "out_features": 10},
]
CASES = [
    (
        f"{name}, {optimizer['type']}",
        {"dataset": "digits", "model": model, "optimizer": optimizer},
        jobs,
    )
    for name, model in (("64-128-10", MLP), ("64-64-64-10", P1))
    for optimizer in (SGD, ADAM_WORD)
    for jobs in (1, 4, 14)
]
RUNS, ITERATIONS = 5, 400
PARTS = {ADAM: adam_by_parts}
"""What the compiler could not look into."""

Tensors = tuple[Tensor, ...]
Step = Callable[..., Tensors]


def microseconds(run: Callable[[int], None], iterations: int) -> float:
    """An iteration, warm."""
    run(iterations)
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run(iterations)
        taken.append((time.perf_counter() - began) / iterations * 1e6)
    return min(taken)


def again_and_again(step: Step, given: Sequence[Tensor], carried: int) -> Callable[[int], None]:
    """Iterations, each from what the one before made."""

    def run(iterations: int) -> None:
        now = list(given)
        for _ in range(iterations):
            now[:carried] = step(*now)[:carried]

    return run


def compiled(step: Step, given: Sequence[Tensor], *, any_number: bool = False) -> Step:
    """The same by TorchInductor."""
    graph = make_fx(
        step, decomposition_table=PARTS, tracing_mode="symbolic" if any_number else "real"
    )(*given)
    made: Step = torch.compile(graph, dynamic=any_number)
    return made


def group(sections: dict[str, Any], jobs: int) -> tuple[FusedGroup, State]:
    """So many jobs that differ in their seed, and where they begin."""
    made_ready = [prepared(**sections, batch_size=64, iterations=2000, seed=k) for k in range(jobs)]
    data = made_ready[0][1]
    members = [TrainingJob(plan, data, Numerics.on("cpu")) for plan, _ in made_ready]
    made = FusedGroup(members)
    return made, made.begin([job.beginning().state for job in members])


def batch_of(made: FusedGroup, n: int) -> Batch:
    """What update ``n`` of all jobs is given."""
    return made.table([n] * len(made.jobs), 1).each(lambda tensor: tensor[0])


def fused(name: str, sections: dict[str, Any], jobs: int) -> None:
    """A line."""
    made, state = group(sections, jobs)
    made.planned()
    program = made.program
    assert program is not None
    batch = batch_of(made, 0)
    given = [tensor.clone() for tensor in made.flat(state, batch)]
    carried = 1 + len(made.slots)

    def run(iterations: int) -> None:
        made.memory.overwrite(state)
        made.place.overwrite(batch)
        for _ in range(iterations):
            program()

    line(f"{name}, {jobs} jobs", run, compiled(made.step, given), given, carried, ITERATIONS)


def convolutions() -> None:
    """The line of P4."""
    plan, data = prepared(**cnn())
    job = TrainingJob(plan, data, Numerics.on("cpu"))
    state, inputs = job.beginning().state, job.feed(0)
    trace = Traced(job.step, state, inputs)
    given = (*trace.flatten(state), *trace.flatten_inputs(inputs))
    carried = len(trace.flatten(state))
    ours = again_and_again(trace.forward, given, carried)
    theirs = compiled(lambda *tensors: trace.forward(*tensors), given)
    line("CNN of P4", ours, theirs, given, carried, 40)


def line(
    name: str,
    ours: Callable[[int], None],
    step: Step,
    given: Sequence[Tensor],
    carried: int,
    iterations: int,
) -> None:
    """Measures both and prints them."""
    began = time.perf_counter()
    step(*given)
    seconds = time.perf_counter() - began
    one = microseconds(ours, iterations)
    other = microseconds(again_and_again(step, given, carried), iterations)
    earned = f"{1e6 * seconds / (one - other):12,.0f}" if one > other else "       never"
    print(f"{name:28} {one:9.0f} {other:9.0f} {one / other:6.2f}× {seconds:7.1f} s {earned}")


@torch.no_grad()
def apart(sections: dict[str, Any]) -> bool:
    """Whether neighbours leave no trace in 50 iterations."""
    sizes, found = (17, 5, 1), []
    made, _ = group(sections, sizes[0])
    step = compiled(made.step, made.flat(*made.blank(23)), any_number=True)
    for jobs in sizes:
        made, now = group(sections, jobs)
        for n in range(50):
            updated = step(*made.flat(now, batch_of(made, n)))[:-1]
            now = made.state([tensor.clone() for tensor in updated])
        found.append(now.parameters)
    return all(torch.equal(some, found[0][: len(some)]) for some in found)


if __name__ == "__main__":
    print("                               program  compiled  ratio  compiling   earned after")
    with torch.no_grad():
        for case in CASES:
            fused(*case)
        convolutions()
    for model, optimizer in ((MLP, SGD), (P1, ADAM_WORD)):
        kept = apart({"dataset": "digits", "model": model, "optimizer": optimizer})
        print(f"apart, {optimizer['type']}: {kept}")
