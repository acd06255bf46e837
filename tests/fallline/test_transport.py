"""What the client makes of answers, good and bad."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fallline import ApiError, Client, TaskFailed, Unreachable
from tests.fallline.scripted import Answer, Script, served
from tests.service import free_port

Serve = Callable[[dict[str, list[Answer]]], tuple[Client, Script]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(answers: dict[str, list[Answer]]) -> tuple[Client, Script]:
            script = stack.enter_context(served(Script(answers=answers)))
            return stack.enter_context(Client(script.url, "secret")), script

        yield start


def job(state: str) -> Answer:
    return Answer(200, {"id": "job_1", "state": state, "latest": {}, "best": {}, "result": None})


def page(first: int, values: list[Any], next_after: int | None = None) -> Answer:
    iterations = list(range(first, first + len(values)))
    series = {"loss": {"iteration": iterations, "value": values}}
    body = {"series": series, "state": "running", "complete": False, "next_after": next_after}
    return Answer(200, body)


def test_a_service_that_is_not_there_is_unreachable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, "secret") as client, pytest.raises(Unreachable, match=url):
        client.jobs.get("job_1")


def test_an_address_that_is_none_is_unreachable() -> None:
    with Client("nonsense", "secret") as client, pytest.raises(Unreachable, match="nonsense"):
        client.ready()


def test_the_key_goes_with_every_request(serve: Serve) -> None:
    client, script = serve({"GET /v1/jobs/job_1": [job("running")]})
    client.jobs.get("job_1")
    assert script.keys == ["Bearer secret"]


def test_a_page_of_a_proxy_is_an_error_with_its_status(serve: Serve) -> None:
    client, _ = serve({"GET /v1/jobs/job_1": [Answer(502, "<h1>Bad gateway</h1>")]})
    with pytest.raises(ApiError) as failed:
        client.jobs.get("job_1")
    assert (failed.value.status, failed.value.code) == (502, "http_502")
    assert "Bad gateway" in str(failed.value)


def test_without_a_key_an_answer_of_401_says_where_one_is_looked_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("FALLLINE_HOME", str(tmp_path))
    _, script = serve({"GET /v1/jobs": [Answer(401, {"code": "no_key", "detail": "No key."})]})
    with Client(script.url) as client, pytest.raises(ApiError, match="set FALLLINE_API_KEY"):
        client.jobs.list()


def test_a_redirect_is_not_followed_with_the_key(serve: Serve) -> None:
    elsewhere = Answer(307, "", {"Location": "http://192.0.2.1/"})
    client, _ = serve({"GET /v1/jobs": [elsewhere]})
    with pytest.raises(ApiError) as failed:
        client.jobs.list()
    assert failed.value.status == 307


def test_an_id_cannot_leave_its_place_in_the_path(serve: Serve) -> None:
    client, script = serve({"GET /v1/jobs/..%2Fkeys%3F": [job("running")]})
    client.jobs.get("../keys?")
    assert script.asked == ["GET /v1/jobs/..%2Fkeys%3F"]


def test_points_are_read_page_by_page(serve: Serve) -> None:
    pages = [page(0, [3, "NaN"], next_after=1), page(2, [1.5])]
    client, script = serve({"GET /v1/jobs/job_1/metrics": pages})
    points = client.jobs.points("job_1")
    assert points.iterations == [0, 1, 2]
    assert str(points.values) == "[3.0, nan, 1.5]"
    assert [request.partition("?")[2] for request in script.asked] == [
        "series=loss",
        "series=loss&after=1",
    ]


def test_following_yields_each_point_once_until_the_job_has_ended(serve: Serve) -> None:
    client, script = serve(
        {
            "GET /v1/jobs/job_1": [job("queued"), job("running"), job("succeeded")],
            "GET /v1/jobs/job_1/metrics": [page(0, []), page(0, [3, 2]), page(2, [1])],
        }
    )
    seen = [(job["state"], new["loss"].values) for job, new in client.jobs.follow("job_1", every=0)]
    assert seen == [("queued", []), ("running", [3, 2]), ("succeeded", [1])]
    assert script.asked[-1] == "GET /v1/jobs/job_1/metrics?series=loss&after=1"


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_waiting_ends_in_every_terminal_state(serve: Serve, state: str) -> None:
    client, _ = serve({"GET /v1/jobs/job_1": [job("queued"), job("running"), job(state)]})
    assert client.jobs.wait("job_1", every=0)["state"] == state


def task(state: str, **more: object) -> Answer:
    return Answer(200, {"id": "task_1", "object": "task", "state": state, **more})


def accepted(location: str = "/v1/tasks/task_1") -> list[Answer]:
    return [Answer(202, {}, {"Location": location})]


def test_an_iteration_that_takes_long_is_waited_for(serve: Serve) -> None:
    result = {"iteration": 7, "loss": "NaN"}
    client, _ = serve(
        {
            "GET /v1/jobs/job_1/iterations/7": accepted(),
            "GET /v1/tasks/task_1": [
                task("queued"),
                task("running"),
                task("succeeded", result=result),
            ],
        }
    )
    assert str(client.jobs.iteration("job_1", 7)) == "{'iteration': 7, 'loss': nan}"


def test_an_iteration_that_cannot_be_computed_says_why(serve: Serve) -> None:
    failed = task("failed", result=None, error={"code": "x", "message": "The checkpoint is gone."})
    client, _ = serve(
        {"GET /v1/jobs/job_1/iterations/7": accepted(), "GET /v1/tasks/task_1": [failed]}
    )
    with pytest.raises(TaskFailed, match="The checkpoint is gone"):
        client.jobs.iteration("job_1", 7)


def test_a_task_on_another_host_is_asked_for_on_ours(serve: Serve) -> None:
    client, script = serve(
        {
            "GET /v1/jobs/job_1/iterations/7": accepted("http://192.0.2.1/v1/tasks/task_1"),
            "GET /v1/tasks/task_1": [task("succeeded", result={})],
        }
    )
    client.jobs.iteration("job_1", 7)
    assert script.asked[-1] == "GET /v1/tasks/task_1"


def test_a_model_is_asked_by_name_and_version(serve: Serve) -> None:
    answer = Answer(200, {"model": "a b", "version": 3, "predictions": [{"value": ["Infinity"]}]})
    client, script = serve({"POST /v1/models/a%20b/versions/3/predict": [answer]})
    said = client.models.predict("a b", [[1.0]], version=3)
    assert said["predictions"] == [{"value": [float("inf")]}]
    assert script.asked == ["POST /v1/models/a%20b/versions/3/predict"]


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_ready_is_yes_or_no(serve: Serve, status: int, ready: bool) -> None:
    client, _ = serve({"GET /readyz": [Answer(status, {})]})
    assert client.ready() is ready
