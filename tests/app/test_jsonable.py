"""Numbers that JSON cannot carry."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from app.jsonable import from_jsonable, to_jsonable


@given(st.recursive(st.floats() | st.integers() | st.none(), st.lists))
def test_whatever_is_made_speakable_is_json(value: object) -> None:
    json.dumps(to_jsonable(value), allow_nan=False)


@given(st.floats())
def test_a_number_that_was_said_is_the_same_again(value: float) -> None:
    again = from_jsonable(to_jsonable(value))
    assert again == value or (math.isnan(again) and math.isnan(value))


def test_the_words_are_those_of_the_contract() -> None:
    assert to_jsonable({"a": [math.nan, math.inf, -math.inf, 1.0]}) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.0]
    }
