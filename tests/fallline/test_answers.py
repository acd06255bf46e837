"""How the numbers of an answer are read."""

import math

import pytest

from fallline.answers import Points, job_of, metrics_of, number, numbers, predictions_of


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
    answer = predictions_of({"model": "m", "version": 1, "predictions": [row]})
    assert answer["predictions"] == [{"label": "NaN", "probabilities": [0.5, math.inf]}]


def test_the_values_of_a_job_are_floats_and_what_was_posted_stays() -> None:
    posted = {"spec": {"name": "NaN"}, "metadata": {"note": "Infinity"}}
    values = {"latest": {"loss": "Infinity"}, "best": {}, "result": None}
    job = job_of({**posted, **values})
    assert job["latest"] == {"loss": math.inf}
    assert (job["spec"], job["metadata"]) == (posted["spec"], posted["metadata"])
