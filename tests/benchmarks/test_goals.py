"""How a measurement becomes a verdict."""

import itertools
from collections.abc import Iterator

import pytest

from benchmarks import goals
from benchmarks.goals import Bound, Goal, Missing, Round, in_turn, measure, peer

LIMITS = {"p95_ms": Bound(most=100.0), "resident": Bound(least=1.3)}


def stated(*rounds: Round, ended: list[str]) -> Goal:
    def generator() -> Iterator[Round]:
        try:
            yield from itertools.cycle(rounds)
        finally:
            ended.append("taken down")

    return Goal("P0", "it", "that", least=2.0, bounds=LIMITS, rounds=generator)


def one(ours: float, theirs: float, p95: float = 90.0, resident: float = 1.4) -> Round:
    return Round(ours, theirs, figures={"p95_ms": p95, "resident": resident})


def test_a_goal_is_judged_by_the_median_of_the_ratios_of_its_rounds() -> None:
    ended = list[str]()
    slow, fast = one(1.0, 1.5), one(2.0, 5.0)
    measured = measure(stated(slow, fast, fast, ended=ended))
    assert measured.ratios == [1.5, 2.5, 2.5, 1.5, 2.5]
    assert measured.verdict == "reached"
    assert ended == ["taken down"]


def test_what_is_missed_is_named_with_what_it_should_have_been() -> None:
    measured = measure(stated(one(1.0, 1.9, p95=101.0, resident=1.2), ended=[]))
    assert measured.verdict == "MISSED: ratio ≥ 2, p95_ms ≤ 100, resident ≥ 1.3"


def test_as_many_rounds_are_measured_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDS", "7")
    assert len(measure(stated(one(1.0, 2.0), ended=[])).rounds) == 7


def test_each_side_is_first_as_often_as_the_other() -> None:
    order = list[str]()

    def side(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    rounds = in_turn(lambda: side("ours", 1.0), lambda: side("theirs", 3.0))
    assert [this.ratio for this in itertools.islice(rounds, 4)] == [3.0] * 4
    assert order == ["ours", "theirs", "theirs", "ours"] * 2


def test_a_side_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goals, "PEERS", goals.ROOT / "nowhere")
    with pytest.raises(Missing, match="ray not installed: make bench-peers"):
        peer("ray")


def test_what_a_goal_has_set_up_is_taken_down_when_a_round_breaks() -> None:
    ended = list[str]()

    def broken(_: Round) -> None:
        raise RuntimeError("the two sides do not agree")

    with pytest.raises(RuntimeError):
        measure(stated(one(1.0, 2.0), ended=ended), broken)
    assert ended == ["taken down"]
