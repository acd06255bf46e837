"""Goals of speed: two sides that do the same work, measured in turn, and how far they are apart.

A module of this folder states one by decorating a generator:

    @goal("P7", "a curve of 1 M iterations → 2 000 points", against="all points, LTTB", least=20.0)
    def curve() -> Iterator[Round]:
        with everything_set_up() as it:
            yield from in_turn(it.ours, it.theirs)

It sets up, yields a round for as long as it is asked, and takes down when it is closed. Of a round
both sides are seconds for the same work. That their results are equal is the module's to check, and
why the other side is fair is its docstring's to say.
"""

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = Path(sys.prefix) / "peers"
"""The environment of the other sides: what they need is none of ours."""
FEWEST = 5
"""Rounds from which a median says something."""


@dataclass(frozen=True)
class Round:
    """One measurement of both sides; ``figures``: what else it showed, by name."""

    ours: float
    theirs: float
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times as fast we are."""
        return self.theirs / self.ours


@dataclass(frozen=True)
class Bound:
    """What the median of a figure has to be beside the ratio."""

    least: float = -float("inf")
    most: float = float("inf")

    def __str__(self) -> str:
        return f"≥ {self.least:g}" if self.most == float("inf") else f"≤ {self.most:g}"


Rounds = Callable[[], Iterator[Round]]


@dataclass(frozen=True)
class Goal:
    """What is measured, and from what on it is reached."""

    number: str
    what: str
    against: str
    least: float
    bounds: Mapping[str, Bound]
    rounds: Rounds


class Missing(Exception):
    """The other side, or the device, is not on this machine: nothing is measured."""


@dataclass(frozen=True)
class Measured:
    """A goal, with the rounds that were measured."""

    goal: Goal
    rounds: list[Round]

    @property
    def ratios(self) -> list[float]:
        """Of each round: what disturbs the machine for a while disturbs both sides."""
        return [one.ratio for one in self.rounds]

    @property
    def figures(self) -> dict[str, float]:
        """Medians of what else was measured."""
        names = dict.fromkeys(name for one in self.rounds for name in one.figures)
        return {
            name: statistics.median(r.figures[name] for r in self.rounds if name in r.figures)
            for name in names
        }

    @property
    def verdict(self) -> str:
        """Whether the goal is reached, and what is missing where it is not."""
        missed = []
        if statistics.median(self.ratios) < self.goal.least:
            missed.append(f"ratio ≥ {self.goal.least:g}")
        for name, bound in self.goal.bounds.items():
            if not bound.least <= self.figures[name] <= bound.most:
                missed.append(f"{name} {bound}")
        return f"MISSED: {', '.join(missed)}" if missed else "reached"


GOALS: dict[str, Goal] = {}
"""Of the modules that have been imported."""


def goal(
    number: str, what: str, *, against: str, least: float, **bounds: Bound
) -> Callable[[Rounds], Rounds]:
    """States a goal; ``bounds``: of figures, by name."""

    def stated(rounds: Rounds) -> Rounds:
        assert number not in GOALS, f"{number} is stated twice"
        GOALS[number] = Goal(number, what, against, least, bounds, rounds)
        return rounds

    return stated


def measure(one: Goal, seen: Callable[[Round], None] = lambda _: None) -> Measured:
    """Sets a goal up, asks for its rounds (``ROUNDS`` of them) and takes it down."""
    rounds, wanted = one.rounds(), int(os.environ.get("ROUNDS", FEWEST))
    found = list[Round]()
    try:
        for this in itertools.islice(rounds, wanted):
            seen(this)
            found.append(this)
    finally:
        rounds.close()  # type: ignore[attr-defined]  # they are generators
    return Measured(one, found)


def agree(ours: float, theirs: float, part: float, least: float = 0.0) -> None:
    """Both sides have learned the same: their losses differ by that part at most, or ``least``."""
    assert abs(ours - theirs) < max(part * theirs, least), (ours, theirs)


Side = Callable[[], float]
"""Does the work once and says how many seconds it took."""


def in_turn(ours: Side, theirs: Side) -> Iterator[Round]:
    """For ever, each side first as often as the other."""
    for number in itertools.count():
        if number % 2:
            late = theirs()
            yield Round(ours(), late)
        else:
            early = ours()
            yield Round(early, theirs())


def timed(work: Callable[[], object]) -> Side:
    """The side that is a call, by the clock on the wall."""

    def side() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return side


def peer(*packages: str) -> Path:
    """The Python of the environment in which the other sides run; ``Missing`` without it."""
    absent = {*packages} - {*peers()}
    if absent:
        raise Missing(f"{', '.join(sorted(absent))} not installed: make bench-peers")
    return PEERS / "bin" / "python"


def peers() -> dict[str, str]:
    """What is installed for the other sides, with versions."""
    folders = [str(folder) for folder in PEERS.glob("lib/python3*/site-packages")]
    return {found.name: found.version for found in distributions(path=folders)} if folders else {}
