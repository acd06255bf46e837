"""How either client asks, asks again, and what it makes of answers, good and bad."""

import io
import math
import time
from pathlib import Path

import pytest

from fallline import ApiError, Client, FalllineError, TaskFailed, Unreachable
from fallline.http.retries import Retries, retry_after
from tests.fallline.scripted import NO_ANSWER, Answer, Script, job
from tests.fallline.talk import Ask, awaited, blocking
from tests.service import free_port

JOB = "GET /v1/jobs/job_1"


@pytest.fixture(params=[blocking, awaited])
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions without a pause of ours."""
    monkeypatch.setattr(Retries, "bound", lambda *_: 0.0)


def test_a_service_that_is_not_there_is_unreachable(at_once: None) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, "secret") as client, pytest.raises(Unreachable, match=url):
        client.jobs.get("job_1")


def test_an_address_that_is_none_is_told_at_once() -> None:
    with pytest.raises(FalllineError, match="'nonsense' is no address of a service"):
        Client("nonsense", "secret")


def test_the_key_goes_with_every_request(ask: Ask) -> None:
    script = Script(answers={JOB: [job("running")]})
    ask(script, lambda client: client.jobs.get("job_1"))
    assert script.header("Authorization") == ["Bearer secret"]


def test_a_page_of_a_proxy_is_an_error_with_its_status(ask: Ask) -> None:
    script = Script(answers={JOB: [Answer(500, "<h1>Bad day</h1>")]})
    with pytest.raises(ApiError, match="Bad day") as failed:
        ask(script, lambda client: client.jobs.get("job_1"))
    assert (failed.value.status, failed.value.code) == (500, "http_500")


@pytest.mark.parametrize("body", ["<h1>Welcome</h1>", ["no", "job"], {"id": "job_1"}])
def test_an_answer_of_something_else_than_fallline_is_one_sentence(body: object) -> None:
    script = Script(answers={JOB: [Answer(200, body)]})
    with pytest.raises(FalllineError, match=r"no (JSON|Fallline)"):
        blocking(script, lambda client: client.jobs.get("job_1"))


def test_without_a_key_an_answer_of_401_says_where_one_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FALLLINE_HOME", str(tmp_path))
    script = Script(answers={"GET /v1/jobs": [Answer(401, {"code": "no_key", "detail": "No."})]})

    def without_a_key(client: Client) -> None:
        with Client(client.url) as stranger:
            stranger.jobs.list()

    with pytest.raises(ApiError, match="set FALLLINE_API_KEY"):
        blocking(script, without_a_key)


def test_a_redirect_is_not_followed_with_the_key(ask: Ask) -> None:
    elsewhere = Answer(307, "", {"Location": "http://192.0.2.1/"})
    with pytest.raises(ApiError) as failed:
        ask(Script(answers={"GET /v1/jobs": [elsewhere]}), lambda client: client.jobs.list())
    assert failed.value.status == 307


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    script = Script(answers={"GET /v1/jobs/..%2Fkeys%3F": [job("running")]})
    blocking(script, lambda client: client.jobs.get("../keys?"))
    assert script.asked == ["GET /v1/jobs/..%2Fkeys%3F"]


# -- asking again


@pytest.mark.parametrize("bad", [NO_ANSWER, Answer(429), Answer(503), Answer(502, "Bad gateway")])
def test_what_had_no_luck_is_asked_again(ask: Ask, bad: Answer, at_once: None) -> None:
    script = Script(answers={JOB: [bad, bad, job("running")]})
    assert ask(script, lambda client: client.jobs.get("job_1")).state == "running"
    assert script.asked == [JOB] * 3


@pytest.mark.parametrize("bad", [NO_ANSWER, Answer(503)])
def test_a_post_that_is_repeated_carries_the_same_key(ask: Ask, bad: Answer, at_once: None) -> None:
    script = Script(answers={"POST /v1/jobs": [bad, job("queued")]})
    ask(script, lambda client: client.jobs.create({"name": "a job"}))
    first, second = script.header("Idempotency-Key")
    assert first
    assert first == second
    assert {request.body for request in script.requests} == {b'{"name":"a job"}'}


def test_two_posts_have_two_keys_unless_one_is_given() -> None:
    script = Script(answers={"POST /v1/jobs": [job("queued")]})

    def thrice(client: Client) -> None:
        client.jobs.create({})
        client.jobs.create({})
        client.jobs.create({}, idempotency_key="mine")

    blocking(script, thrice)
    keys = script.header("Idempotency-Key")
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_post_that_changes_nothing_has_no_key() -> None:
    said = Answer(200, {"model": "m", "version": 1, "predictions": []})
    script = Script(answers={"POST /v1/jobs/validate": [Answer(200, {})]})
    script.answers["POST /v1/models/m/predict"] = [said]
    blocking(script, lambda client: [client.jobs.validate({}), client.models.predict("m", [[1]])])
    assert script.header("Idempotency-Key") == [None, None]


def test_the_fifth_failure_is_the_last(ask: Ask, at_once: None) -> None:
    script = Script(answers={JOB: [Answer(503, {"detail": "The database is away."})]})
    with pytest.raises(ApiError, match="database is away"):
        ask(script, lambda client: client.jobs.get("job_1"))
    assert len(script.asked) == 5


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    script = Script(answers={JOB: [Answer(status, {})]})
    with pytest.raises(ApiError):
        blocking(script, lambda client: client.jobs.get("job_1"))
    assert len(script.asked) == 1


def test_the_wish_to_wait_is_honoured(ask: Ask, at_once: None) -> None:
    script = Script(answers={JOB: [Answer(429, {}, {"Retry-After": "1"}), job("running")]})
    began = time.monotonic()
    ask(script, lambda client: client.jobs.get("job_1"))
    assert time.monotonic() - began >= 1


def test_the_wish_to_wait_an_hour_is_told_instead() -> None:
    script = Script(answers={JOB: [Answer(429, {}, {"Retry-After": "3600"})]})
    with pytest.raises(ApiError) as refused:
        blocking(script, lambda client: client.jobs.get("job_1"))
    assert refused.value.retry_after == 3600
    assert len(script.asked) == 1


def test_a_wish_to_wait_is_a_number_a_date_or_nonsense() -> None:
    assert retry_after({"Retry-After": "7"}) == 7
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"Retry-After": "Wed, 21 Oct 2125 07:28:00 GMT"}) > 1e9
    assert retry_after({"Retry-After": "soon"}) == retry_after({}) == 0


def test_pauses_grow_and_differ_between_clients() -> None:
    retries = Retries(most=10)
    drawn = [{retries.pause(done) for _ in range(50)} for done in range(10)]
    assert all(len(pauses) > 40 for pauses in drawn)
    assert all(0 <= pause <= retries.bound(done) for done, p in enumerate(drawn) for pause in p)  # type: ignore[operator]
    assert [retries.bound(done) for done in range(7)] == [0.25, 0.5, 1, 2, 4, 8, 8]
    assert retries.pause(10) is None


def test_a_delete_whose_answer_was_lost_has_deleted(ask: Ask, at_once: None) -> None:
    script = Script(answers={"DELETE /v1/jobs/job_1": [NO_ANSWER, Answer(404, {})]})
    assert ask(script, lambda client: client.jobs.at("job_1").delete()) is None
    assert len(script.asked) == 2


def test_a_delete_of_what_is_not_there_is_an_error(at_once: None) -> None:
    script = Script(answers={"DELETE /v1/jobs/job_1": [Answer(503, {}), Answer(404, {})]})
    with pytest.raises(ApiError) as refused:
        blocking(script, lambda client: client.jobs.at("job_1").delete())
    assert refused.value.status == 404


# -- tasks


def task(state: str, **more: object) -> Answer:
    return Answer(200, {"id": "task_1", "object": "task", "state": state, **more})


def accepted(*tasks: Answer, location: str = "/v1/tasks/task_1") -> Script:
    work = [Answer(202, {}, {"Location": location})]
    return Script(
        answers={f"{JOB}/iterations/7": work, "GET /v1/tasks/task_1": list(tasks)},
    )


def test_an_iteration_that_takes_long_is_waited_for(ask: Ask) -> None:
    result = {"iteration": 7, "loss": "NaN"}
    script = accepted(task("queued"), task("running"), task("succeeded", result=result))
    answer = ask(script, lambda client: client.jobs.at("job_1").iteration(7))
    assert str(answer) == "{'iteration': 7, 'loss': nan}"


def test_an_iteration_that_cannot_be_computed_says_why() -> None:
    failed = task("failed", result=None, error={"code": "x", "message": "The checkpoint is gone."})
    with pytest.raises(TaskFailed, match="The checkpoint is gone"):
        blocking(accepted(failed), lambda client: client.jobs.at("job_1").iteration(7))


def test_a_task_on_another_host_is_asked_for_on_ours() -> None:
    done = task("succeeded", result={})
    script = accepted(done, location="http://192.0.2.1/v1/tasks/task_1")
    blocking(script, lambda client: client.jobs.at("job_1").iteration(7))
    assert script.asked[-1] == "GET /v1/tasks/task_1"


# -- uploads

DATASET = {
    "id": "ds_1",
    "name": "rows",
    "rows": 2,
    "target": "b",
    "schema": {
        "columns": [
            {"name": "a", "role": "feature", "kind": "numeric", "missing": True, "inputs": 1},
            {"name": "b", "role": "target", "kind": "categorical", "categories": ["x", "y"]},
        ],
        "inputs": 1,
    },
    "statistics": {},
    "source": {},
    "size": 64,
    "created_at": "2026-01-02T03:04:05.678Z",
}
UPLOAD = "POST /v1/datasets"


@pytest.mark.parametrize("kind", ["path", "bytes", "file"])
def test_a_file_is_sent_as_it_is_again_from_its_start(
    ask: Ask, tmp_path: Path, kind: str, at_once: None
) -> None:
    data = b"a,b\n" + b"1,2\n" * 200_000
    path = tmp_path / "rows.tsv"
    path.write_bytes(data)
    source = {"path": path, "bytes": data, "file": io.BytesIO(data)}[kind]
    script = Script(answers={UPLOAD: [Answer(503), Answer(201, DATASET)]})
    made = ask(script, lambda client: client.datasets.upload(source, target="b"))
    assert (made.id, made.rows) == ("ds_1", 2)
    assert [request.body == data for request in script.requests] == [True, True]
    media_type = "text/tab-separated-values" if kind == "path" else "text/csv"
    assert set(script.header("Content-Type")) == {media_type}
    assert len(set(script.header("Idempotency-Key"))) == 1
    query = "target=b&name=rows" if kind == "path" else "target=b"
    assert script.asked[0] == f"{UPLOAD}?{query}"


def test_what_cannot_be_read_twice_is_not_sent_twice(at_once: None) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    script = Script(answers={UPLOAD: [Answer(503, {})]})
    with pytest.raises(ApiError):
        blocking(script, lambda client: client.datasets.upload(Pipe(b"a\n1\n"), target="a"))
    assert len(script.asked) == 1


def test_a_model_is_asked_by_name_and_version(ask: Ask) -> None:
    answer = Answer(200, {"model": "a b", "version": 3, "predictions": [{"value": ["Infinity"]}]})
    script = Script(answers={"POST /v1/models/a%20b/versions/3/predict": [answer]})
    (said,) = ask(script, lambda client: client.models.predict("a b", [[1.0]], version=3))
    assert said.value == [math.inf]


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_ready_is_yes_or_no(ask: Ask, status: int, ready: bool) -> None:
    checks = {"database": "ok", "worker": "ok" if ready else "no training worker is ready"}
    script = Script(answers={"GET /readyz": [Answer(status, {"checks": checks})]})
    assert ask(script, lambda client: client.ready()) is ready
    assert len(script.asked) == 1
