"""What is accepted runs to an end, to the same bits however it is run."""

import warnings
from collections import Counter

from tests.training.anything import Anything
from tests.training.small_jobs import Ended, Job, gathered, ready
from training.engine import checkpoint
from training.engine.blocks import Checkpoint
from training.engine.loop import group_of
from training.spec.mistakes import Mistakes

HOW_MANY = 60


def ran(job: Job, *, traced: bool, seconds: float = 0.0, start: Checkpoint | None = None) -> Ended:
    """The job to its end, from its beginning or a checkpoint."""
    training = job.training()
    now = start or training.beginning()
    group = group_of([training])
    if traced:
        group.trace([now])
    blocks = group.blocks([now], seconds)
    while blocks[-1].outcome is None:
        blocks += group.blocks([blocks[-1].checkpoint], seconds)
    return gathered(blocks)


def assert_equal(one: Ended, other: Ended) -> None:
    """By repr, for NaN is nothing's equal; buffers by name."""
    *found, buffers = one.bits()
    *wanted, theirs = other.bits()
    assert repr(found) == repr(wanted)
    assert buffers == theirs


def test_what_is_accepted_runs_to_the_same_end_however_it_is_run() -> None:
    ends = Counter[str]()
    warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
    for number in range(HOW_MANY):
        try:
            job = ready(Anything(number).specification())
        except Mistakes:
            ends["refused"] += 1
            continue
        whole = ran(job, traced=False)
        assert_equal(ran(job, traced=True, seconds=60.0), whole)
        if len(whole.checkpoints) > 1:
            middle = whole.checkpoints[(len(whole.checkpoints) - 1) // 2]
            again = checkpoint.decode(checkpoint.encode(middle), job.numerics)
            rest = ran(job, traced=bool(number % 2), start=again)
            assert rest.losses.tobytes() == whole.losses[middle.iteration :].tobytes()
            assert repr(rest.bits()[2:6]) == repr(whole.bits()[2:6])
            assert rest.bits()[6] == whole.bits()[6]
        ends[whole.outcome.reason] += 1
    # All of it was reached, and little of it refused.
    assert min(ends[end] for end in ("completed", "diverged", "converged", "early_stopping")) > 0
    assert ends["refused"] < HOW_MANY / 4, ends
