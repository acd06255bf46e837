"""The faults by their names: what is required, and who brings them about."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.faults.world import World


class Fault(NamedTuple):
    """A line of the matrix.

    ``run`` brings it about in a world and says what was measured; it raises ``AssertionError`` when
    that is not what is ``required``. ``workers`` and ``children`` are how many a world has of them;
    ``kinds``: the databases that it makes sense on.
    """

    name: str
    what: str
    required: str
    run: Callable[[World, random.Random], str]
    workers: int
    children: int
    kinds: tuple[str, ...]
    settings: dict[str, Any]


FAULTS: dict[str, Fault] = {}
BOTH = ("postgresql", "sqlite")

Run = Callable[[World, random.Random], str]


def fault(
    name: str,
    what: str,
    required: str,
    *,
    workers: int = 1,
    children: int = 2,
    kinds: tuple[str, ...] = BOTH,
    **settings: Any,
) -> Callable[[Run], Run]:
    """Enters a function into the matrix."""

    def enter(run: Run) -> Run:
        FAULTS[name] = Fault(name, what, required, run, workers, children, kinds, settings)
        return run

    return enter
