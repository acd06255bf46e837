"""Watching a job: waiting, following, its stream of events."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from fallline import ApiError, Client, JobFailed, Unreachable, WaitedEnough
from fallline.http.retries import Retries
from fallline.types import Points
from tests.fallline.scripted import NO_ANSWER, Answer, Script, job
from tests.fallline.talk import Ask, awaited, blocking

JOB = "GET /v1/jobs/job_1"
EVENTS = f"{JOB}/events"
METRICS = f"{JOB}/metrics"


@pytest.fixture(params=[blocking, awaited])
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions without a pause."""
    monkeypatch.setattr(Retries, "bound", lambda *_: 0.0)


def page(first: int, values: list[Any], next_after: int | None = None) -> Answer:
    body = {"series": series(first, values), "state": "running", "complete": False}
    return Answer(200, {**body, "next_after": next_after})


def series(first: int, values: list[Any]) -> dict[str, Any]:
    iterations = list(range(first, first + len(values)))
    return {"loss": {"iteration": iterations, "value": values}}


def test_points_are_read_page_by_page(ask: Ask) -> None:
    pages = [page(0, [3, "NaN"], next_after=1), page(2, [1.5])]
    script = Script(answers={METRICS: pages})
    points = ask(script, lambda client: client.jobs.at("job_1").points())
    assert points.iterations == [0, 1, 2]
    assert str(points.values) == "[3.0, nan, 1.5]"
    assert [request.partition("?")[2] for request in script.asked] == [
        "series=loss",
        "series=loss&after=1",
    ]


def test_following_yields_each_point_once_until_the_job_has_ended(ask: Ask) -> None:
    script = Script(
        answers={
            JOB: [job("queued"), job("running"), job("succeeded")],
            METRICS: [page(0, []), page(0, [3, 2]), page(2, [1])],
        }
    )
    pairs = ask(script, lambda client: client.jobs.at("job_1").follow(every=0))
    seen = [(job.state, new["loss"].values) for job, new in pairs]
    assert seen == [("queued", []), ("running", [3, 2]), ("succeeded", [1])]
    assert script.asked[-1] == f"{METRICS}?series=loss&after=1"


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_waiting_ends_in_every_terminal_state(ask: Ask, state: str) -> None:
    script = Script(answers={JOB: [job("queued"), job("running"), job(state)]})
    assert ask(script, lambda client: client.jobs.at("job_1").wait()).state == state
    assert script.asked[0] == JOB
    assert set(script.asked[1:]) == {f"{JOB}?wait=30.0"}


def test_a_service_that_holds_no_request_is_not_asked_in_a_busy_loop() -> None:
    script = Script(answers={JOB: [*[job("running")] * 3, job("succeeded")]})
    began = time.monotonic()
    blocking(script, lambda client: client.jobs.at("job_1").wait())
    assert time.monotonic() - began >= 0.1 + 0.2


def test_waiting_ends_when_the_time_is_up(ask: Ask) -> None:
    script = Script(answers={JOB: [job("running")]})
    with pytest.raises(WaitedEnough, match=r"still running after 0\.3 s"):
        ask(script, lambda client: client.jobs.at("job_1").wait(timeout=0.3))


def test_a_job_that_failed_is_an_error_only_if_one_asks_for_it() -> None:
    error = {"category": "diverged", "code": "not_finite", "message": "The loss is NaN."}
    script = Script(answers={JOB: [job("failed", error=error)]})
    failed = blocking(script, lambda client: client.jobs.at("job_1").wait())
    assert (failed.error.category, failed.error.retryable) == ("diverged", False)
    with pytest.raises(JobFailed, match=r"job_1 ended as failed: The loss is NaN\."):
        failed.check()


# -- the stream of events


def frame(kind: str, data: object, number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f": still here\n\n{head}event: {kind}\ndata: {json.dumps(data)}\n\n"


def happened(number: int, kind: str, data: object = None) -> str:
    when = "2026-01-02T03:04:05.678Z"
    document = {"id": f"evt_{number}", "sequence": number, "type": kind, "data": data or {}}
    return frame(kind, {**document, "created_at": when}, number)


def streamed(*frames: str, cut: bool = False) -> Answer:
    return Answer(200, "".join(frames), {"Content-Type": "text/event-stream"}, cut=cut)


END = frame("end", {"state": "succeeded"})

Events = Callable[[Any], Any]
all_events: Events = lambda client: client.jobs.at("job_1").events()  # noqa: E731


def test_events_come_in_their_order_until_the_end(ask: Ask) -> None:
    metrics = frame("metrics", {"series": series(0, [3, "NaN"])})
    script = Script(
        answers={EVENTS: [streamed(happened(1, "state", {"to": "running"}), metrics, END)]}
    )
    state, points, end = ask(script, all_events)
    assert (state.type, state.sequence, state.data) == ("state", 1, {"to": "running"})
    assert state.created_at.year == 2026
    assert str(points.points["loss"].values) == "[3.0, nan]"
    assert end.type == "end"
    assert script.header("Accept") == ["text/event-stream"]
    assert script.header("Last-Event-ID") == [None]


@pytest.mark.parametrize("cut", [True, False])
def test_a_stream_that_breaks_goes_on_where_it_was(ask: Ask, cut: bool) -> None:
    begin = "retry: 1000\n\n"
    first = streamed(
        begin, happened(1, "state"), frame("metrics", {"series": series(0, [3, 2])}), cut=cut
    )
    again = [happened(1, "state"), frame("metrics", {"series": series(0, [3, 2, 1])})]
    second = streamed(*again, happened(2, "state"), END)
    script = Script(answers={EVENTS: [first, NO_ANSWER, Answer(503, {}), second]})
    events = ask(script, all_events)
    assert [event.sequence for event in events if event.sequence] == [1, 2]
    points = Points()
    for event in events:
        points.extend(event.points.get("loss", Points()))
    assert points == Points([0, 1, 2], [3, 2, 1])
    assert script.header("Last-Event-ID") == [None, "1", "1", "1"]


def test_a_stream_that_has_begun_outlives_a_service_that_is_started_anew(ask: Ask) -> None:
    begun = streamed(happened(1, "state"))
    script = Script(answers={EVENTS: [begun, *[NO_ANSWER] * 15, streamed(END)]})
    assert [event.type for event in ask(script, all_events)] == ["state", "end"]


def test_a_stream_that_breaks_after_every_event_is_followed_to_its_end(ask: Ask) -> None:
    torn = [streamed(happened(number, "state")) for number in range(1, 31)]
    script = Script(answers={EVENTS: [*torn, streamed(END)]})
    assert len(ask(script, all_events)) == 31


def test_waiting_outlives_a_service_that_is_started_anew(ask: Ask) -> None:
    script = Script(answers={JOB: [job("running"), *[NO_ANSWER] * 15, job("succeeded")]})
    assert ask(script, lambda client: client.jobs.at("job_1").wait()).succeeded


def test_a_frame_that_was_cut_is_not_an_event(ask: Ask) -> None:
    whole = happened(1, "state")
    script = Script(answers={EVENTS: [streamed(whole[:-2], cut=True), streamed(whole, END)]})
    assert [event.type for event in ask(script, all_events)] == ["state", "end"]
    assert script.header("Last-Event-ID") == [None, None]


def test_a_stream_can_be_taken_up_past_an_event() -> None:
    script = Script(answers={EVENTS: [streamed(END)]})
    blocking(script, lambda client: client.jobs.at("job_1").events(after=41))
    assert script.header("Last-Event-ID") == ["41"]


def test_a_stream_that_says_nothing_again_and_again_is_an_error(ask: Ask) -> None:
    script = Script(answers={EVENTS: [streamed(": nothing\n\n")]})
    with pytest.raises(Unreachable, match="stream of events ended"):
        ask(script, all_events)
    assert len(script.asked) == 5


def test_the_stream_of_a_job_that_is_unknown_is_an_error(ask: Ask) -> None:
    script = Script(answers={EVENTS: [Answer(404, {"code": "not_found", "detail": "No job."})]})
    with pytest.raises(ApiError, match="No job"):
        ask(script, all_events)
    assert len(script.asked) == 1


def test_who_stops_listening_closes_the_stream() -> None:
    script = Script(answers={EVENTS: [streamed(happened(1, "state"), happened(2, "state"), END)]})

    def first_only(client: Client) -> int | None:
        for event in client.jobs.at("job_1").events():
            return event.sequence
        return None

    assert blocking(script, first_only) == 1
