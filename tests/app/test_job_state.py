"""The states of a job: what is drawn is what holds."""

import re

import pytest

from app.errors import Conflict
from app.job_state import ACTIVE, HELD, TERMINAL, TRANSITIONS, JobState, next_state
from tests.databases import ROOT

EVERY_STEP = {
    (source.value, to.value, name)
    for name, arrow in TRANSITIONS.items()
    for source, to in arrow.steps.items()
}


def test_the_documentation_draws_every_arrow_and_no_other() -> None:
    text = (ROOT / "docs/jobs.md").read_text()
    assert set(re.findall(r"^ +(\w+) --> (\w+) : (\w+)$", text, re.MULTILINE)) == EVERY_STEP
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)) == {
        name: arrow.when for name, arrow in TRANSITIONS.items()
    }


def test_every_state_is_either_active_or_terminal() -> None:
    assert sorted([*ACTIVE, *TERMINAL]) == sorted(JobState)
    assert set(HELD) < set(ACTIVE)


def test_no_arrow_leaves_a_terminal_state() -> None:
    assert {source for source, _, _ in EVERY_STEP} == {state.value for state in ACTIVE}


def test_every_state_is_reached_and_every_active_one_can_end() -> None:
    steps = {source: {to for s, to, _ in EVERY_STEP if s == source} for source in JobState}
    reached = {JobState.QUEUED.value}
    for _ in JobState:
        reached |= {to for source in reached for to in steps[JobState(source)]}
    assert reached == {state.value for state in JobState}
    assert all(steps[state] & {t.value for t in TERMINAL} for state in ACTIVE)


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("arrow", list(TRANSITIONS))
def test_what_is_no_arrow_is_a_conflict_with_a_sentence(arrow: str, state: JobState) -> None:
    found = [to for source, to, name in EVERY_STEP if (source, name) == (state.value, arrow)]
    if found:
        assert next_state(arrow, state) == found[0]
        return
    with pytest.raises(Conflict, match=rf"a job that is {state} cannot be \w+") as refusal:
        next_state(arrow, state)
    assert refusal.value.own_code == "state_conflict"


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(Conflict) as refusal:
        next_state("resume", JobState.RUNNING)
    sentence = "a job that is running cannot be resumed; it can be paused or cancelled"
    assert refusal.value.detail == sentence
    with pytest.raises(Conflict, match="it has ended, and what has ended stays as it is"):
        next_state("cancel", JobState.FAILED)
