"""The harness notices what is missing: without the fence, or without the sweeper, it fails.

``make faults`` ends with it; alone: pytest tests/faults/bite.py
"""

import random
from collections.abc import Iterator

import pytest

from tests.databases import KINDS, Database
from tests.faults import zombies  # noqa: F401 -- it enters F8
from tests.faults.invariants import check
from tests.faults.kills import SHORT
from tests.faults.plan import FAULTS
from tests.faults.world import World, world

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def kind() -> Iterator[Database]:
    with KINDS["postgresql"]() as database:
        yield database


def test_without_the_fence_a_zombie_is_noticed(kind: Database) -> None:
    with world(kind, workers=2, children=1, switches=["no_fence"], **SHORT) as there:
        with pytest.raises(AssertionError) as failure:
            zombie(there)
        assert "refused" in str(failure.value) or there.ledger.broken


def zombie(there: World) -> None:
    """F8, and what is checked after it."""
    FAULTS["F8"].run(there, random.Random(8))
    check(there, {})


def heard(there: World) -> None:
    """A job whose bell is lost begins all the same."""
    broker = there.service.redis
    broker.process.kill()
    job_id = there.post(iterations=100)
    broker.start()
    there.reaches(job_id, 1, within=20)


@pytest.mark.parametrize("switches", [[], ["no_sweeper"]], ids=["with it", "without"])
def test_without_the_sweeper_a_lost_bell_is_noticed(kind: Database, switches: list[str]) -> None:
    with world(kind, workers=1, children=1, switches=switches, **SHORT) as there:
        if not switches:
            heard(there)
            return
        with pytest.raises(AssertionError, match="not within 20 s: iteration 1 of"):
            heard(there)
