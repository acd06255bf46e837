"""What an error says to a person."""

import pytest

from fallline.errors import ApiError, FalllineError, TaskFailed, Unreachable

PROBLEM = {
    "status": 422,
    "code": "invalid_specification",
    "detail": "The specification has 2 mistakes.",
    "request_id": "req_1",
    "errors": [
        {"pointer": "/model/0/type", "code": "unknown", "message": "Did you mean `conv2d`?"},
        {"pointer": "", "code": "missing", "message": "`dataset` is missing."},
    ],
}


def test_every_mistake_is_shown_with_its_pointer_and_sentence() -> None:
    assert str(ApiError(422, PROBLEM)) == (
        "The specification has 2 mistakes. (422 invalid_specification)\n"
        "  /model/0/type: Did you mean `conv2d`?\n"
        "  (the whole body): `dataset` is missing."
    )


def test_the_problem_document_is_kept() -> None:
    error = ApiError(422, PROBLEM)
    assert (error.status, error.code, error.request_id) == (422, "invalid_specification", "req_1")
    assert [mistake.pointer for mistake in error.errors] == ["/model/0/type", ""]
    assert error.problem == PROBLEM


def test_a_problem_without_words_still_names_its_status() -> None:
    assert str(ApiError(502, {})) == "No detail was given. (502 http_502)"


def test_a_fault_of_the_service_names_the_request() -> None:
    problem = {"code": "internal", "detail": "Something went wrong.", "request_id": "req_7"}
    assert str(ApiError(500, problem)) == "Something went wrong. (500 internal, req_7)"


def test_an_unreachable_service_says_where_it_was_looked_for_and_what_to_do() -> None:
    text = str(Unreachable("http://127.0.0.1:8000", "Connection refused"))
    assert "http://127.0.0.1:8000" in text
    assert "fallline up" in text
    assert "FALLLINE_PORT" in text


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ({"code": "too_large", "message": "The model is too large."}, "The model is too large."),
        ("no worker", "no worker"),
        (None, "the service gave no reason"),
    ],
)
def test_a_failed_task_says_why(error: dict[str, str] | str | None, sentence: str) -> None:
    assert str(TaskFailed("task_1", error)) == f"Task task_1 failed: {sentence}"


def test_one_base_catches_all() -> None:
    assert all(issubclass(kind, FalllineError) for kind in (ApiError, TaskFailed, Unreachable))
