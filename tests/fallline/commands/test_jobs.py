"""`fallline jobs …`, at the real service and at one by script."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fallline.commands.conftest import Scripted
from tests.fallline.commands.terminal import Terminal
from tests.fallline.resources.test_job import END, frame, happened, series, streamed
from tests.fallline.scripted import NO_ANSWER, Answer, job
from tests.fallline.test_client import SPEC
from tests.servers import eventually
from tests.service import Service, free_port

JOB = "GET /v1/jobs/job_1"
SUBMIT = "POST /v1/jobs"


def page_of(*answers: Answer) -> Answer:
    return Answer(200, {"data": [each.body for each in answers], "has_more": False, "next": None})


def test_a_job_is_submitted_watched_and_asked(
    terminal: Terminal, service: Service, tmp_path: Path
) -> None:
    fallline = terminal.at(service.url, service.key)
    spec = json.dumps({**SPEC, "name": "typed"})
    planned = fallline("jobs", "validate", "-", stdin=spec)
    assert "linear" in planned.out.splitlines()[-1], planned.err
    told = fallline("jobs", "submit", "-", "--set", "iterations=40", "-o", "id", stdin=spec)
    assert told.code == 0, told.err
    who = told.out.strip()

    watched = fallline("jobs", "watch", who, "-o", "jsonl")
    assert watched.code == 0, watched.err
    found = json.loads(watched.out)
    assert (found["state"], found["progress"]["iteration"]) == ("succeeded", 40)
    assert "40/40" in watched.err
    losses = fallline("jobs", "metrics", who)
    assert [line.split(",")[0] for line in losses.out.splitlines()] == [
        "iteration",
        *map(str, range(40)),
    ]
    assert "state" in fallline("jobs", "show", who).out
    assert who in fallline("jobs", "list", "-o", "id").out
    rows = json.dumps([[5.1, 3.5, 1.4, 0.2]])
    for name in ("typed", who):
        said = fallline("predict", name, "-o", "csv", stdin=rows)
        assert said.out.splitlines()[0] == "row,label,probability"
    listed = fallline("models", "list", "-o", "id")
    assert listed.code == 0, listed.err
    assert listed.out.splitlines()[0] == "typed"
    assert fallline("models", "download", "typed", str(tmp_path / "file")).code == 0
    assert b'"fallline model 1"' in (tmp_path / "file").read_bytes().replace(b"\\", b"")
    assert fallline("jobs", "delete", who).code == 0
    assert fallline("jobs", "show", who).code == 4


def test_a_job_is_changed_forked_and_its_log_read(terminal: Terminal, service: Service) -> None:
    fallline = terminal.at(service.url, service.key)
    spec = json.dumps({**SPEC, "iterations": 1_000_000})
    who = fallline("jobs", "submit", "-", "-o", "id", stdin=spec).out.strip()
    changed = fallline("jobs", "change", who, "--lr", "0.05", "--metadata", "a=b=c", "-o", "json")
    assert changed.code == 0, changed.err
    (document,) = json.loads(changed.out)
    (intervention,) = document["interventions"]
    assert intervention["changes"] == {"lr": 0.05}
    assert document["metadata"] == {"a": "b=c"}
    assert changed.err == f"from iteration {intervention['iteration']} on: lr = 0.05\n"
    assert fallline("jobs", "change", who).code == 2

    shown = ["jobs", "show", who, "-o", "json"]
    eventually(
        lambda: json.loads(fallline(*shown).out)["progress"]["iteration"] > 3,
        "it has come so far",
        within=30,
    )
    fallline("jobs", "pause", who)
    steered = fallline("jobs", "fork", who, "3", "--set", "iterations=9", "--watch", "-o", "jsonl")
    assert steered.code == 0, steered.err
    fork = json.loads(steered.out)
    assert fork["forked_from"] == {"job": who, "iteration": 3}
    assert (fork["spec"]["iterations"], fork["state"]) == (9, "succeeded")

    log = fallline("jobs", "events", who, "-o", "csv").out.splitlines()
    assert log[0] == "number,when,iteration,event,what"
    assert any(line.endswith("on: lr = 0.05") for line in log)
    told = fallline("jobs", "events", fork["id"], "--follow").out.splitlines()
    events = [json.loads(line) for line in told]
    assert [len(each["series"]["loss"]["value"]) for each in events if "series" in each]
    assert events[-1]["state"] == "succeeded"
    assert fallline("jobs", "events", who, "--follow", "-o", "table").code == 2
    assert fallline("jobs", "cancel", who).code == 0


def test_mistakes_come_one_a_line_with_their_pointers(terminal: Terminal, service: Service) -> None:
    fallline = terminal.at(service.url, service.key)
    wrong = json.dumps({**SPEC, "model": ["rellu"], "iterations": -1})
    refused = fallline("jobs", "submit", "-", stdin=wrong)
    assert (refused.code, refused.out) == (4, "")
    lines = [line.split(":")[0].strip() for line in refused.err.splitlines()]
    assert {"/model/0", "/iterations"} <= {line.removesuffix("/type") for line in lines}


def test_a_running_job_is_cancelled(terminal: Terminal, service: Service) -> None:
    fallline = terminal.at(service.url, service.key)
    long = json.dumps({**SPEC, "iterations": 1_000_000})
    who = fallline("jobs", "submit", "-", "-o", "id", stdin=long).out.strip()
    assert fallline("jobs", "cancel", who).code == 0
    watched = fallline("jobs", "watch", who)
    assert watched.code == 3
    assert f"{who} ended as cancelled" in watched.err


def test_progress_goes_to_stderr_and_the_job_to_stdout(scripted: Scripted) -> None:
    frames = [frame("metrics", {"series": series(n, [1 / (n + 1)])}) for n in range(10)]
    started = happened(1, "state", {"state": "running", "reason": None})
    changed = happened(20, "intervention", {"iteration": 9, "changes": {"lr": 0.05}})
    fallline, _ = scripted(
        {
            SUBMIT: [job("queued")],
            JOB: [job("succeeded")],
            f"{JOB}/events": [streamed(started, *frames, changed, END)],
        }
    )
    said = fallline("jobs", "submit", "-", "--watch", "-o", "id", stdin="{}")
    assert (said.code, said.out) == (0, "job_1\n")
    assert "   running\n" in said.err
    assert "from iteration 9 on: lr = 0.05" in said.err
    assert "10/10" in said.err
    assert "loss 0.1000" in said.err


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_watched_job_that_does_not_succeed_has_its_own_exit_code(
    scripted: Scripted, state: str
) -> None:
    error = {"category": "diverged", "code": "x", "message": "The loss is NaN."}
    ended = job(state, error=error if state == "failed" else None)
    fallline, _ = scripted({JOB: [job("running"), ended], f"{JOB}/events": [streamed(END)]})
    said = fallline("jobs", "watch", "job_1", "-o", "jsonl")
    assert said.code == 3
    assert json.loads(said.out)["state"] == state
    assert f"ended as {state}" in said.err


def test_ctrl_c_detaches_from_a_job_that_goes_on(scripted: Scripted) -> None:
    held = Answer(200, "", {"Content-Type": "text/event-stream", "Content-Length": "1000000"})
    fallline, script = scripted({JOB: [job("running")], f"{JOB}/events": [held]})
    main = threading.main_thread().ident
    assert main

    def type_ctrl_c() -> None:
        eventually(lambda: f"{JOB}/events" in script.asked, "the stream is asked for")
        signal.pthread_kill(main, signal.SIGINT)

    typing = threading.Thread(target=type_ctrl_c)
    typing.start()
    said = fallline("jobs", "watch", "job_1")
    typing.join()
    assert said.code == 130
    assert said.err.endswith("the job goes on. Watch it again: fallline jobs watch job_1\n")
    assert not any(line.startswith("POST") for line in script.asked)


def test_a_plan_shows_what_it_costs_and_its_layers(scripted: Scripted) -> None:
    inner: dict[str, Any] = {"path": "0.0", "type": "relu", "input_shape": [4], "output_shape": [4]}
    inner |= {"parameters": 0, "flops": 0, "layers": []}
    block: dict[str, Any] = {
        "path": "0",
        "type": "residual",
        "input_shape": [1, 8, 8],
        "output_shape": [4],
    }
    block |= {"parameters": 20, "flops": 32, "layers": [inner]}
    plan = {"spec": {"a": 1}, "parameters": 20, "flops": {"forward": 32}, "layers": [block]}
    fallline, _ = scripted({"POST /v1/jobs/validate": [Answer(200, plan)]})
    assert fallline("jobs", "validate", "-", stdin="{}").out.splitlines() == [
        "parameters     20",
        "flops.forward  32",
        "",
        "layer  type      input  output  parameters  flops",
        "0      residual  1×8×8  4       20          32",
        "0.0    relu      4      4       0           0",
    ]
    assert json.loads(fallline("jobs", "validate", "-", "-o", "json", stdin="{}").out) == plan


def test_a_list_is_filtered_and_goes_over_pages(scripted: Scripted) -> None:
    first = Answer(200, {"data": [job("queued").body] * 2, "has_more": True, "next": "job_1"})
    fallline, script = scripted({"GET /v1/jobs": [first, page_of(job("queued"))]})
    said = fallline(
        "jobs", "list", "--state", "queued", "--metadata", "who=me", "--limit", "9", "-o", "id"
    )
    assert said.out == "job_1\n" * 3
    query = "state=queued&metadata.who=me&limit=100"
    assert script.asked == [f"GET /v1/jobs?{query}", f"GET /v1/jobs?{query}&after=job_1"]


def test_a_list_stops_asking_when_it_has_enough(scripted: Scripted) -> None:
    more = Answer(200, {"data": [job("queued").body] * 2, "has_more": True, "next": "job_1"})
    fallline, script = scripted({"GET /v1/jobs": [more]})
    assert fallline("jobs", "list", "--limit", "2", "-o", "id").out == "job_1\n" * 2
    assert len(script.asked) == 1


def test_series_stand_beside_each_other(scripted: Scripted) -> None:
    found = {
        "loss": {"iteration": [0, 1, 2], "value": [3, "NaN", 1.5]},
        "validation_loss": {"iteration": [2], "value": ["-Infinity"]},
    }
    body = {"series": found, "state": "running", "complete": False, "next_after": None}
    fallline, script = scripted({f"{JOB}/metrics": [Answer(200, body)]})
    metrics = ["jobs", "metrics", "job_1", "--series", "loss,validation_loss"]
    assert fallline(*metrics).out.splitlines() == [
        "iteration,loss,validation_loss",
        "0,3.0,",
        "1,NaN,",
        "2,1.5,-Infinity",
    ]
    assert json.loads(fallline(*metrics, "-o", "jsonl").out.splitlines()[1]) == {
        "iteration": 1,
        "loss": "NaN",
        "validation_loss": None,
    }
    fallline(*metrics, "--points", "100", "--smooth", "0.5", "--before", "9")
    assert script.asked[-1].endswith("before=9&points=100&smooth=0.5")
    assert fallline(*metrics, "-o", "id").code == 2


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
def test_several_jobs_are_steered_at_once(scripted: Scripted, verb: str) -> None:
    paths = [f"POST /v1/jobs/job_{n}/{verb}" for n in (1, 2)]
    fallline, script = scripted({path: [job("running")] for path in paths})
    assert fallline("jobs", verb, "job_1", "job_2", "-o", "id").code == 0
    assert script.asked == paths


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Answer(404, {}), 4), (Answer(401, {}), 4), (Answer(500, {}), 1), (NO_ANSWER, 5)],
)
def test_each_way_to_fail_has_its_exit_code(scripted: Scripted, answer: Answer, code: int) -> None:
    fallline, _ = scripted({JOB: [answer]})
    said = fallline("jobs", "show", "job_1")
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("fallline: ")


def test_no_service_is_told_by_its_exit_code(terminal: Terminal) -> None:
    said = terminal.at(f"http://127.0.0.1:{free_port()}")("jobs", "list")
    assert said.code == 5
    assert "fallline up" in said.err


@pytest.mark.parametrize(
    "arguments", [("submit",), ("submit", "no such file"), ("list", "-o", "x")]
)
def test_wrong_usage_is_two(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    assert terminal.at("http://127.0.0.1:1")("jobs", *arguments).code == 2


def test_the_exit_codes_are_in_the_help(terminal: Terminal) -> None:
    shown = terminal.at("http://127.0.0.1:1")("--help").out
    assert all(f"\n    {code:>3}  " in shown for code in (0, 1, 2, 3, 4, 5, 130))
    guide = (Path(__file__).parents[3] / "docs/client.md").read_text()
    assert all(f"\n| {code} |" in guide for code in (0, 1, 2, 3, 4, 5, 130))


def test_a_job_that_refuses_stops_no_other(scripted: Scripted) -> None:
    ended = Answer(409, {"detail": "it has ended", "code": "state_conflict"})
    fallline, script = scripted(
        {
            "POST /v1/jobs/job_1/cancel": [ended],
            "POST /v1/jobs/job_2/cancel": [job("cancelled", id="job_2")],
        }
    )
    said = fallline("jobs", "cancel", "job_1", "job_2", "-o", "id")
    assert (said.code, said.out) == (4, "job_2\n")
    assert said.err.startswith("fallline: job_1: it has ended")
    assert len(script.asked) == 2


def test_a_key_that_is_refused_is_told_once(scripted: Scripted) -> None:
    fallline, script = scripted({"DELETE /v1/jobs/job_1": [Answer(401, {"detail": "no"})]})
    assert fallline("jobs", "delete", "job_1", "job_2").code == 4
    assert len(script.asked) == 1
