"""Some lines of the matrix, in one deployment with short leases; how long anything takes is not
looked at. All of it, as it ships, and timed: ``make faults``."""

import random
from collections.abc import Iterator

import pytest

from tests.databases import KINDS
from tests.faults import brokers, deaths, files  # noqa: F401 -- they enter their faults
from tests.faults.invariants import Undisturbed, check, learn
from tests.faults.kills import SHORT
from tests.faults.plan import FAULTS
from tests.faults.world import World, world

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return {}


@pytest.fixture(scope="module")
def there(undisturbed: Undisturbed) -> Iterator[World]:
    """On PostgreSQL; F2 leaves it a worker less."""
    with (
        KINDS["postgresql"]() as kind,
        world(kind, workers=3, children=1, **SHORT) as deployment,
    ):
        deployment.timed = False
        learn(deployment, undisturbed)
        yield deployment


@pytest.mark.parametrize("name", ["F1", "F12", "F7", "F2"])
def test_what_is_required_holds_and_so_does_every_invariant(
    there: World, undisturbed: Undisturbed, name: str
) -> None:
    FAULTS[name].run(there, random.Random(name))
    check(there, undisturbed)
