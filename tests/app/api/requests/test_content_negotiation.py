"""The header ``Accept``."""

import pytest
from fastapi import Request

from app.api.requests.content_negotiation import wanted
from app.errors import NotAcceptable

OFFERED = ("application/json", "text/csv", "text/event-stream")


def request(*accept: str) -> Request:
    headers = [(b"accept", value.encode()) for value in accept]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ((), "application/json"),
        (("",), "application/json"),
        (("*/*",), "application/json"),
        (("text/csv",), "text/csv"),
        (("Text/CSV; charset=utf-8",), "text/csv"),
        (("text/*",), "text/csv"),
        (("text/html, text/event-stream",), "text/event-stream"),
        (("application/json;q=0.5, text/csv;q=0.9",), "text/csv"),
        (("text/html,*/*;q=0.1",), "application/json"),
        (("*/*, application/json;q=0.1, text/csv;q=0.2",), "text/event-stream"),
        (("text/*;q=0, text/csv",), "text/csv"),
        (("text/html", "text/csv"), "text/csv"),
        (("text/csv;q=0.3;x=1, application/json; q=0.30",), "application/json"),
    ],
)
def test_the_form_that_is_liked_best_is_given(accept: tuple[str, ...], expected: str) -> None:
    assert wanted(request(*accept), OFFERED) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "*/*;q=0", "application/json;q=0.000", ";", ",,", "é"]
)
def test_what_is_not_had_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        wanted(request(accept), OFFERED)
