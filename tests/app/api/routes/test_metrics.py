"""The recorded series over HTTP: exactly what was stored, page by page."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.tables import MetricChunk
from tests.app.conftest import database_of
from tests.app.talk import FOR_EVER, TINY, Document, losses, metrics, mistakes, posted, trained
from tests.servers import eventually
from tests.service import Service

SERIES = "loss,validation_loss,validation_accuracy"


@pytest.fixture(scope="session")
def long(service: Service) -> Document:
    """A job whose losses fill two chunks and begin a third."""
    return trained(service, TINY, iterations=2500, optimizer={"type": "sgd", "lr": 1e-4})


def pages(service: Service, job_id: str, **query: Any) -> list[Document]:
    """All of them, one after the other, as a client walks them."""
    found = [metrics(service, job_id, **query)]
    while found[-1]["next_after"] is not None:
        found.append(metrics(service, job_id, **{**query, "after": found[-1]["next_after"]}))
    return found


def joined(parts: list[Document]) -> Document:
    """The series of all pages, end to end."""
    return {
        name: {
            axis: [value for part in parts for value in part["series"][name][axis]]
            for axis in ("iteration", "value")
        }
        for name in parts[0]["series"]
    }


def test_after_n_iterations_there_are_the_losses_of_zero_to_n_minus_one_each_once(
    service: Service, long: Document
) -> None:
    document = metrics(service, long["id"])
    assert document["series"]["loss"]["iteration"] == list(range(2500))
    assert set(document) == {"job", "series", "last", "state", "complete", "next_after"}
    assert (document["job"], document["state"]) == (long["id"], "succeeded")
    assert document["last"] == {"loss": 2499}
    assert (document["complete"], document["next_after"]) == (True, None)


def test_the_numbers_are_the_stored_float32_exactly(service: Service, long: Document) -> None:
    with database_of(service) as database, database.session(write=False) as session:
        query = select(MetricChunk).where(MetricChunk.job_id == long["id"])
        chunks = session.scalars(query.order_by(MetricChunk.first_iteration)).all()
    assert [len(chunk.values) for chunk in chunks] == [1024, 1024, 452]
    stored = np.concatenate([chunk.values for chunk in chunks])
    read = np.array(losses(service, long["id"]), dtype=np.float64)
    assert read.tolist() == stored.astype(np.float64).tolist()


@pytest.mark.parametrize("limit", [1, 100, 1023, 1024, 1025, 2499, 2500])
def test_pages_of_one_series_are_the_whole(limit: int, service: Service, long: Document) -> None:
    after = {"after": 2460} if limit == 1 else {}
    whole = metrics(service, long["id"], **after)
    parts = pages(service, long["id"], limit=limit, **after)
    assert joined(parts) == whole["series"]
    sizes = [len(part["series"]["loss"]["value"]) for part in parts]
    assert sizes[:-1] == [limit] * (len(sizes) - 1)
    assert 0 < sizes[-1] <= limit
    assert [part["complete"] for part in parts] == [False] * (len(parts) - 1) + [True]


@pytest.mark.parametrize("limit", [1, 3, 10, 59])
def test_pages_of_several_series_are_the_whole(
    limit: int, service: Service, digits: Document
) -> None:
    whole = metrics(service, digits["id"], series=SERIES)["series"]
    assert whole["loss"]["iteration"] == list(range(60))
    assert whole["validation_loss"]["iteration"] == [7, 14, 21, 28, 35, 42, 49, 56, 60]
    parts = pages(service, digits["id"], series=SERIES, limit=limit)
    assert joined(parts) == whole


def test_no_page_has_more_than_the_limit_of_any_series(service: Service, digits: Document) -> None:
    for part in pages(service, digits["id"], series=SERIES, limit=2):
        assert all(len(points["value"]) <= 2 for points in part["series"].values())


@pytest.mark.parametrize("after", [-1, 0, 1022, 1023, 1024, 2047, 2048, 2498])
def test_after_leaves_out_what_the_client_has(after: int, service: Service, long: Document) -> None:
    points = metrics(service, long["id"], after=after)["series"]["loss"]
    assert points["iteration"] == list(range(after + 1, 2500))
    assert points["value"] == losses(service, long["id"])[after + 1 :]


@pytest.mark.parametrize("after", [2499, 2500, 2**31 - 1])
def test_after_the_last_there_is_nothing_and_it_is_complete(
    after: int, service: Service, long: Document
) -> None:
    document = metrics(service, long["id"], after=after)
    assert document["series"] == {"loss": {"iteration": [], "value": []}}
    assert (document["last"], document["complete"]) == ({}, True)


def test_before_anything_is_recorded_a_series_is_empty(api: Service) -> None:
    document = metrics(api, posted(api, TINY))
    assert document["series"] == {"loss": {"iteration": [], "value": []}}
    assert (document["last"], document["state"]) == ({}, "queued")
    assert (document["complete"], document["next_after"]) == (False, None)


def test_while_a_job_runs_its_losses_grow_and_none_changes(service: Service) -> None:
    job_id = posted(service, FOR_EVER)
    first = eventually(lambda: losses(service, job_id), "a loss", 30)
    eventually(lambda: len(losses(service, job_id)) > len(first), "more losses", 30)
    assert losses(service, job_id)[: len(first)] == first
    assert metrics(service, job_id, limit=10)["complete"] is False
    service.http.post(f"/v1/jobs/{job_id}/cancel")


def test_an_unknown_series_is_refused_with_the_nearest_name(
    service: Service, digits: Document
) -> None:
    answer = service.http.get(
        f"/v1/jobs/{digits['id']}/metrics", params={"series": "loss,validation_los"}
    )
    assert mistakes(answer, "unknown_series") == {
        "/series": ["unknown_name", "`validation_los`: did you mean `validation_loss`?"]
    }


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "must be at least 1 (query parameter)"),
        ("limit=100001", "must be at most 100000 (query parameter)"),
        ("after=-2", "must be at least -1 (query parameter)"),
        ("after=2147483648", "must be at most 2147483647 (query parameter)"),
        ("after=1.5", "must be a whole number (query parameter)"),
        ("before=-1", "must be at least 0 (query parameter)"),
        ("after=5&before=5", "must be greater than `after` (query parameter)"),
        ("points=0", "must be at least 1 (query parameter)"),
        ("points=-3", "must be at least 1 (query parameter)"),
        ("points=20001", "must be at most 20000 (query parameter)"),
        ("points=10&limit=10", "must not be given with `points` (query parameter)"),
        ("smooth=-0.1", "must be at least 0.0 (query parameter)"),
        ("smooth=1.1", "must be at most 1.0 (query parameter)"),
        ("smooth=NaN", "must be at most 1.0 (query parameter)"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(query: str, sentence: str, api: Service) -> None:
    answer = api.http.get(f"/v1/jobs/job_any/metrics?{query}")
    ((_, message),) = mistakes(answer, "invalid_request").values()
    assert message == sentence
