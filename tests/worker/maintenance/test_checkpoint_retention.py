"""Which checkpoints are kept."""

from hypothesis import given
from hypothesis import strategies as st

from worker.maintenance.checkpoint_retention import MAX_CHECKPOINT_COUNT, redundant


def kept(iterations: list[int]) -> list[int]:
    """What is left after each was added in turn."""
    rows: list[int] = []
    for iteration in iterations:
        rows.append(iteration)
        if len(rows) > MAX_CHECKPOINT_COUNT:
            del rows[redundant(rows)]
    return rows


@given(st.integers(40, 3000), st.integers(1, 500))
def test_the_last_two_stay_and_no_iteration_is_far_from_a_checkpoint(
    count: int, every: int
) -> None:
    taken = [every * (i + 1) for i in range(count)]
    left = kept(taken)
    assert len(left) == MAX_CHECKPOINT_COUNT
    assert left[-2:] == taken[-2:]
    gaps = [b - a for a, b in zip([0, *left], left, strict=False)]
    assert max(gaps) <= 4 * count * every / MAX_CHECKPOINT_COUNT
