"""What is read fast is what is read slowly."""

import json
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.prediction.service import PredictionRequest, plainly
from app.api.requests.json_body import decoded, read
from app.jsonable import dumps

NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=True),
    st.sampled_from([0, -0.0, 1e-400, 2**53 + 1, 1e308]),
)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, "1", "inputs", [], {}, {"inputs": 1}, "\ud800", "l"]
)
ROWS = st.lists(st.lists(st.one_of(NUMBERS, ODD), max_size=4), max_size=4)


def numbers(value: Any) -> Any:
    """As the model takes them, by their spelling: -0.0 is not 0."""
    return [numbers(one) for one in value] if isinstance(value, list) else repr(float(value))


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(ROWS, st.sampled_from(["inputs", "outputs", "input"]), st.booleans())
def test_whatever_is_read_fast_is_read_as_it_is_read_slowly(
    rows: object, name: str, spaced: bool
) -> None:
    body = json.dumps({name: rows}, indent=1 if spaced else None).encode()
    inputs = plainly(body)
    if inputs is not None:
        slowly = read(decoded(body), PredictionRequest)
        assert slowly.outputs == ()
        assert numbers(inputs) == numbers(slowly.inputs)


def test_rows_of_numbers_are_read_fast() -> None:
    for body in (b'{"inputs": [[1, -2.5e-3]]}', b'{"inputs":[1]}', b' {"inputs":[[[0.0],[1]]] }\n'):
        assert plainly(body) == json.loads(body)["inputs"]


def test_anything_else_is_not() -> None:
    for body in (
        *(b"", b"[]", b"{}", b'{"inputs": []}', b'{"inputs": 1}', b'{"inputs": [true]}'),
        *(b'{"inputs": [null]}', b'{"inputs": ["1"]}', b'{"inputs": [NaN]}', b'{"inputs": [{}]}'),
        *(b'{"inputs": [1], "inputs": [2]}', b'{"inputs": [1], "outputs": ["logits"]}'),
        *(b'[{"inputs": 1}]', b'{"inputs": [01]}', b'{"input": [1]}', b'{"inputs": [1]} x'),
    ):
        assert plainly(body) is None


def test_numbers_that_json_has_none_for_are_written_as_words() -> None:
    nan, inf = float("nan"), float("inf")
    assert json.loads(dumps([{"null": 1.5, "value": [nan, inf, -inf, 0.1]}])) == [
        {"null": 1.5, "value": ["NaN", "Infinity", "-Infinity", 0.1]}
    ]
    assert json.loads(dumps([{"label": 2**70, "value": nan}])) == [{"label": 2**70, "value": "NaN"}]
    assert orjson.loads(dumps("ä\u2028")) == "ä\u2028"
