"""Series as somebody looks at them: sampled, smoothed, and as files."""

import csv
import io
import json
import math
import socket
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pytest

from app.tables import Job, MetricChunk
from tests.app.conftest import Connect, database_of, new_key
from tests.app.talk import TINY, Document, metrics, mistakes, posted, problem
from tests.service import Service

LENGTH = 200_000
CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="session")
def recorded(api: Service) -> tuple[str, np.ndarray[Any, Any]]:
    """A job with a long loss that has a spike, a NaN and an infinity, and some validation."""
    values = np.random.default_rng(0).normal(size=LENGTH).astype(np.float32)
    values[[123_456, 77_777, 150_000, 160_000]] = [1e4, np.nan, np.inf, -np.inf]
    series = {"loss": (0, 1, values), "validation_loss": (500, 500, values[500::500])}
    return long_job(api, series), values


def long_job(service: Service, series: dict[str, tuple[int, int, np.ndarray[Any, Any]]]) -> str:
    """A job that ended with these series: of each its first iteration, its stride, its values."""
    job_id = posted(service, TINY)
    with database_of(service) as database, database.session() as session:
        job = session.get_one(Job, job_id)
        job.series, job.iteration, job.state = list(series), len(series["loss"][2]), "succeeded"
        for name, (origin, stride, found) in series.items():
            for start in range(0, len(found), 1024):
                session.add(
                    MetricChunk(
                        tenant_id=job.tenant_id,
                        job_id=job_id,
                        series=name,
                        first_iteration=origin + start * stride,
                        stride=stride,
                        values=found[start : start + 1024],
                    )
                )
    return job_id


def file(service: Service, job_id: str, media_type: str, **query: Any) -> httpx2.Response:
    answer = service.http.get(
        f"/v1/jobs/{job_id}/metrics", params=query, headers={"Accept": media_type}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].partition(";")[0] == media_type
    return answer


def test_a_long_series_is_seen_at_once_and_no_spike_is_lost(
    api: Service, recorded: tuple[str, Any]
) -> None:
    job_id, values = recorded
    document = metrics(api, job_id, points=500, series="loss,validation_loss")
    assert (document["sampled"], document["complete"]) == (True, True)
    assert document["count"] == {"loss": LENGTH, "validation_loss": 399}
    loss = document["series"]["loss"]
    shown = dict(zip(loss["iteration"], loss["value"], strict=True))
    assert 300 < len(shown) <= 500
    assert {0, LENGTH - 1} <= set(shown)
    assert (shown[123_456], shown[77_777]) == (1e4, "NaN")
    assert (shown[150_000], shown[160_000]) == ("Infinity", "-Infinity")
    assert float(np.nanmin(values[np.isfinite(values)])) in shown.values()
    assert document["last"] == {"loss": LENGTH - 1, "validation_loss": 199_500}


def test_what_is_sampled_is_what_was_selected(api: Service, recorded: tuple[str, Any]) -> None:
    job_id, values = recorded
    document = metrics(api, job_id, points=20, after=100_000, before=100_010)
    assert (document["sampled"], document["count"]) == (False, {"loss": 9})
    assert document["series"]["loss"]["iteration"] == list(range(100_001, 100_010))
    assert document["series"]["loss"]["value"] == values[100_001:100_010].astype(float).tolist()
    assert document["complete"] is False


def test_no_sample_is_larger_than_what_was_asked_for(
    api: Service, recorded: tuple[str, Any]
) -> None:
    for points in (1, 2, 7, 8, 50, 1000):
        found = metrics(api, recorded[0], points=points)["series"]["loss"]["value"]
        assert len(found) <= max(points, 7)
        assert {"NaN", "Infinity", "-Infinity", 1e4} <= set(found)


def test_a_sample_is_smoothed_over_every_iteration(api: Service, recorded: tuple[str, Any]) -> None:
    job_id, values = recorded
    points = metrics(api, job_id, points=100, smooth=0.5)["series"]["loss"]
    shown = dict(zip(points["iteration"], points["value"], strict=True))
    weights = 0.5 ** np.arange(60)[::-1]
    for n in sorted(shown)[50:60]:
        window = values[n - 59 : n + 1].astype(float)
        if np.isfinite(window).all():
            assert shown[n] == pytest.approx((weights * window).sum() / weights.sum(), rel=1e-6)
    assert shown[77_777] == "NaN"
    assert math.isfinite(
        metrics(api, job_id, smooth=0.5, after=77_777, limit=1)["series"]["loss"]["value"][0]
    )


def test_before_leaves_out_what_comes_later(api: Service, recorded: tuple[str, Any]) -> None:
    document = metrics(api, recorded[0], after=5, before=9)
    assert document["series"]["loss"]["iteration"] == [6, 7, 8]
    assert (document["next_after"], document["complete"]) == (None, False)
    assert metrics(api, recorded[0], before=0)["series"]["loss"]["iteration"] == []


def test_as_csv_every_point_is_there(api: Service, recorded: tuple[str, Any]) -> None:
    job_id, values = recorded
    answer = file(api, job_id, CSV, series="validation_loss,loss")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{job_id}.csv"'
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["iteration", "validation_loss", "loss"]
    assert [int(row[0]) for row in rows] == list(range(LENGTH))
    read = np.array([float(row[2]) for row in rows])
    assert read.astype(np.float32).tobytes() == values.tobytes()
    assert {n: row[1] for n, row in enumerate(rows) if row[1]} == {
        n: rows[n][2] for n in range(500, LENGTH, 500)
    }
    assert [rows[n][2] for n in (77_777, 150_000, 160_000)] == ["NaN", "Infinity", "-Infinity"]


def test_as_arrow_every_point_is_there_to_the_bit(api: Service, recorded: tuple[str, Any]) -> None:
    job_id, values = recorded
    answer = file(api, job_id, ARROW, series="loss,validation_loss")
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.types == [pa.int64(), pa.float32(), pa.float32()]
    assert table["iteration"].to_pylist() == list(range(LENGTH))
    assert table["loss"].to_numpy().tobytes() == values.tobytes()
    there = np.flatnonzero(table["validation_loss"].is_valid().to_numpy(zero_copy_only=False))
    assert there.tolist() == list(range(500, LENGTH, 500))


@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_a_file_holds_what_was_selected(
    media_type: str, api: Service, recorded: tuple[str, Any]
) -> None:
    content = file(api, recorded[0], media_type, after=16_000, before=16_003).content
    if media_type == CSV:
        assert [line.split(b",")[0] for line in content.split()] == [
            *(b"iteration", b"16001", b"16002")
        ]
    else:
        assert pa.ipc.open_stream(content).read_all()["iteration"].to_pylist() == [16_001, 16_002]


@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_a_file_of_a_job_that_is_deleted_meanwhile_is_broken_off(
    media_type: str, api: Service
) -> None:
    earlier = len(api.processes[0].log.read_text())  # of other tests, in the same process
    job_id = long_job(api, {"loss": (0, 1, np.zeros(2_000_000, dtype=np.float32))})
    where, asked = f"/v1/jobs/{job_id}/metrics", {"Accept": media_type}
    # A small buffer, or all of the file is on its way before it is read.
    few = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)]
    with (
        httpx2.HTTPTransport(socket_options=few) as slow,
        httpx2.Client(base_url=api.url, headers=api.http.headers, transport=slow) as client,
        client.stream("GET", where, headers=asked) as answer,
    ):
        parts = answer.iter_raw(1)
        next(parts)  # and no more: what is not taken is not yet written
        assert api.http.delete(f"/v1/jobs/{job_id}").status_code == 204
        with pytest.raises(httpx2.RemoteProtocolError):
            list(parts)
    said = api.processes[0].log.read_text()[earlier:]
    about = [json.loads(line) for line in said.splitlines() if job_id in line]
    assert [line["event"] for line in about] == ["file broken off"]
    assert "Traceback" not in said


@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_a_file_of_nothing_has_its_head(media_type: str, api: Service) -> None:
    content = file(api, posted(api, TINY), media_type).content
    if media_type == CSV:
        assert content == b"iteration,loss\r\n"
    else:
        assert pa.ipc.open_stream(content).read_all().num_rows == 0


def test_the_last_evaluation_is_in_the_file(service: Service, digits: Document) -> None:
    rows = list(
        csv.reader(
            io.StringIO(file(service, digits["id"], CSV, series="loss,validation_loss").text)
        )
    )
    assert (rows[-1][:2], bool(rows[-1][2])) == (["60", ""], True)


@pytest.mark.parametrize("query", ["points=5", "smooth=0.5", "limit=5"])
@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_a_file_is_every_point_or_refused(query: str, media_type: str, api: Service) -> None:
    answer = api.http.get(f"/v1/jobs/job_any/metrics?{query}", headers={"Accept": media_type})
    ((pointer, (code, message)),) = mistakes(answer, "invalid_request").items()
    assert (pointer, code) == ("/" + query.split("=")[0], "contradiction")
    assert message.startswith(f"must not be given for {media_type}")


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*, text/plain"])
def test_no_other_form_is_had(accept: str, api: Service, recorded: tuple[str, Any]) -> None:
    answer = api.http.get(f"/v1/jobs/{recorded[0]}/metrics", headers={"Accept": accept})
    assert CSV in problem(answer, 406, "not_acceptable")["detail"]


@pytest.mark.parametrize("media_type", [CSV, ARROW])
def test_a_file_of_an_unknown_job_or_series_is_a_problem(
    media_type: str, api: Service, connect: Connect, recorded: tuple[str, Any]
) -> None:
    accept = {"Accept": media_type}
    problem(api.http.get("/v1/jobs/job_x/metrics", headers=accept), 404, "not_found")
    where = f"/v1/jobs/{recorded[0]}/metrics"
    mistakes(api.http.get(f"{where}?series=los", headers=accept), "unknown_series")
    stranger = connect(api, new_key(api, tenant="reader-of-files"))
    problem(stranger.get(where, headers=accept), 404, "not_found")
