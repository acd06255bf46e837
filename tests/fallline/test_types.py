"""How the numbers of an answer are read."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from fallline import FalllineError
from fallline.jsonable import number, numbers
from fallline.resources.job import job_of
from fallline.types import Points, Progress, metrics_of, page_of, predictions_of, read
from tests.fallline.scripted import job


def test_the_three_words_are_floats() -> None:
    assert math.isnan(number("NaN"))
    assert [number("Infinity"), number("-Infinity"), number(2)] == [math.inf, -math.inf, 2.0]


def test_no_other_word_is_a_number() -> None:
    with pytest.raises(KeyError):
        number("nan")


def test_numbers_are_found_however_deep_they_lie() -> None:
    answer = {"loss": "Infinity", "parameters": {"0.weight": {"value": [["-Infinity", 1.5]]}}}
    read = {"loss": math.inf, "parameters": {"0.weight": {"value": [[-math.inf, 1.5]]}}}
    assert numbers(answer) == read


def test_a_page_of_metrics_has_floats_and_says_where_it_goes_on() -> None:
    page = metrics_of(
        {
            "job": "job_1",
            "series": {"loss": {"iteration": [0, 1], "value": [2, "Infinity"]}},
            "last": {"loss": 1},
            "state": "running",
            "complete": False,
            "next_after": 1,
        }
    )
    assert page.series["loss"] == Points([0, 1], [2.0, math.inf])
    assert (page.state, page.complete, page.next_after) == ("running", False, 1)


def test_a_label_is_no_number_even_if_it_reads_like_one() -> None:
    row = {"label": "NaN", "probabilities": [0.5, "Infinity"]}
    (said,) = predictions_of({"model": "m", "version": 1, "predictions": [row]})
    assert (said.label, said.probabilities) == ("NaN", [0.5, math.inf])


def test_the_values_of_a_job_are_floats_and_what_was_posted_stays() -> None:
    posted = {"spec": {"name": "NaN"}, "metadata": {"note": "Infinity"}}
    document: dict[str, Any] = dict(job("running", latest={"loss": "Infinity"}, **posted).body)  # type: ignore[call-overload]
    read = job_of(None, document)  # type: ignore[arg-type]
    assert read.latest == {"loss": math.inf}
    assert (read.spec, read.metadata) == (posted["spec"], posted["metadata"])
    assert read.created_at == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    assert read.raw == document


def test_what_a_later_service_adds_is_let_pass() -> None:
    document = {"iteration": 1, "iterations": 2, "epoch": 0.5, "fraction": 0.5, "mood": "good"}
    assert read(Progress, document) == Progress(1, 2, 0.5, 0.5)


@pytest.mark.parametrize("document", [None, [], "text", {"iteration": 1}])
def test_what_is_no_answer_of_ours_is_one_sentence(document: object) -> None:
    with pytest.raises(FalllineError, match="no Fallline"):
        read(Progress, document)


@pytest.mark.parametrize("document", [None, [], "text", {"status": "UP"}])
def test_a_list_that_is_no_list_of_ours_is_one_sentence(document: object) -> None:
    for kind in (lambda found: page_of(found, str), metrics_of, predictions_of):
        with pytest.raises(FalllineError, match="no Fallline's: it has no"):
            kind(document)


def test_a_page_is_its_rows_and_says_where_the_next_begins() -> None:
    page = page_of({"data": [1, 2], "has_more": True, "next": "job_2"}, str)
    assert list(page) == ["1", "2"]
    assert (len(page), page.has_more, page.next) == (2, True, "job_2")
