"""GET /metrics: what an operator sees of requests, queue, workers and training."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

import psutil
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy import make_url, select

from app.services.operations.counters import KINDS
from app.tables import Worker
from tests.app.conftest import Connect, database_of, new_key
from tests.app.talk import FOR_EVER, TINY, finished, job, posted, problem
from tests.databases import ROOT
from tests.servers import eventually
from tests.service import Service

Labels = tuple[tuple[str, str], ...]

ALLOWED = {
    "method": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"},
    "status": {"2xx", "3xx", "4xx", "5xx"},
    "pool": {"training", "interactive"},
    "device": {"cpu", "cuda"},
    "kind": {"job", "task"},
    "outcome": set(KINDS[-1].values),
}


def scraped(service: Service) -> list[Sample]:
    answer = service.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return [s for family in text_string_to_metric_families(answer.text) for s in family.samples]


def figure(service: Service, name: str, **labels: str) -> float:
    """One figure at this moment, summed over the labels that are not named."""
    found = [
        sample.value
        for sample in scraped(service)
        if sample.name == f"fallline_{name}" and labels.items() <= sample.labels.items()
    ]
    assert found, name
    return sum(found)


def test_it_is_for_whoever_may_see_all_tenants(api: Service, connect: Connect) -> None:
    problem(connect(api).get("/metrics"), 401, "unauthenticated")
    narrow = connect(api, new_key(api, scopes=("read", "train", "predict")))
    problem(narrow.get("/metrics"), 403, "insufficient_scope")
    assert connect(api, new_key(api, scopes=("admin",))).get("/metrics").status_code == 200


def test_prometheus_gets_the_format_that_it_asks_for(api: Service) -> None:
    asked = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    answer = api.http.get("/metrics", headers=asked)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_a_request_is_timed_under_its_route_and_never_under_its_path(api: Service) -> None:
    def count(**labels: str) -> float:
        try:
            return figure(api, "http_request_duration_seconds_count", **labels)
        except AssertionError:
            return 0.0

    shown = {"method": "GET", "route": "/v1/jobs/{job_id}"}
    good, bad = count(status="2xx", **shown), count(status="4xx", **shown)
    lost = count(route="unmatched")
    job_id = posted(api, TINY)
    job(api, job_id)
    for path in ("/v1/jobs/job_nobody", "/v1/jobs/job_nothing"):
        api.http.get(path)
    for path in ("/nothing", "/nothing/else", "/v1/job_nobody"):
        api.http.get(path)
    assert count(status="2xx", **shown) == good + 1
    assert count(status="4xx", **shown) == bad + 2
    assert count(route="unmatched", status="4xx") == lost + 3
    assert figure(api, "http_requests_in_flight") == 1  # the one that asks


def test_a_client_cannot_add_a_label(api: Service) -> None:
    for i in range(20):
        api.http.request(f"METHOD{i}", f"/path{i}", headers={"Host": "localhost"})
        api.http.request(f"METHOD{i}", "/v1/jobs")
        api.http.get(f"/v1/models/model{i}/predict")
    for method in ("PROPFIND", "SEARCH", "PURGE"):  # which the parser of HTTP lets through
        api.http.request(method, "/v1/jobs")
    assert figure(api, "http_request_duration_seconds_count", method="other") >= 3
    posted(api, TINY, name="a-name-of-a-job")
    samples = scraped(api)
    for name, values in ALLOWED.items():
        assert {s.labels[name] for s in samples if name in s.labels} <= values
    text = re.sub(r"\{\w+\}", "", str([sample.labels for sample in samples]))  # templates
    assert re.findall(r"job_\w+|tnt_\w+|key_\w+|METHOD\d|path\d|model\d|a-name", text) == []


def test_every_figure_is_there_before_anything_has_happened(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=0)
    names = {sample.name for sample in scraped(service)}
    counted = {f"fallline_{kind.name}_total" for kind in KINDS}
    assert counted <= names
    assert [figure(service, f"{kind.name}_total") for kind in KINDS] == [0] * len(KINDS)
    assert figure(service, "workers") == figure(service, "queue_depth") == 0
    assert figure(service, "oldest_queued_job_seconds") == 0


def test_the_guide_names_every_figure_and_no_other(api: Service) -> None:
    guide = (ROOT / "docs/operations.md").read_text()
    named = set(re.findall(r"^\| `(fallline_\w+)`", guide, re.MULTILINE))
    endings = r"_(bucket|count|sum|created)$"
    shown = {re.sub(endings, "", s.name) for s in scraped(api) if s.name.startswith("fallline_")}
    assert named == shown


def test_what_waits_is_seen(own_service: Callable[..., Service]) -> None:
    service = own_service(workers=0)
    for _ in range(3):
        posted(service, TINY)
    assert figure(service, "queue_depth", pool="training") == 3
    assert figure(service, "jobs", state="queued") == 3
    assert figure(service, "jobs") == 3
    eventually(lambda: figure(service, "oldest_queued_job_seconds") > 0, "time passes")


def test_figures_move_while_a_job_runs_and_none_falls_when_its_worker_dies(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(heartbeat_seconds=0.5, lease_seconds=2, sweep_seconds=0.5)
    assert figure(service, "workers", pool="training", device="cpu") == 1
    first = posted(service, FOR_EVER)
    moving = rises(service, "iterations_total")
    assert figure(service, "losses_written_total") > 0
    assert figure(service, "jobs", state="running") == 1
    assert figure(service, "queue_depth", pool="training") == 0

    refused = figure(service, "refused_writes_total", kind="job")
    assert service.http.post(f"/v1/jobs/{first}/cancel").status_code == 202
    rises(service, "refused_writes_total", above=refused, kind="job")
    assert figure(service, "jobs_finished_total", outcome="cancelled") == 1

    second = posted(service, FOR_EVER)
    rises(service, "iterations_total")
    before = figure(service, "iterations_total")
    assert before > moving
    expired = figure(service, "lease_expiries_total", kind="job")
    hang(service, trainer(service, job(service, second)["worker"]))
    rises(service, "lease_expiries_total", above=expired, kind="job")
    assert rises(service, "iterations_total", within=240) > before
    service.http.post(f"/v1/jobs/{second}/cancel")

    ended = finished(service, posted(service, TINY))
    assert ended["state"] == "succeeded"
    assert figure(service, "jobs_finished_total", outcome="succeeded") == 1


def rises(
    service: Service,
    name: str,
    above: float | None = None,
    within: float = 60,
    **labels: str,
) -> float:
    """The figure, once it is above this (default: what it is now)."""
    now = figure(service, name, **labels) if above is None else above

    def more() -> float | None:
        value = figure(service, name, **labels)
        assert value >= now, f"{name} fell"
        return value if value > now else None

    return eventually(more, f"{name} rises", within, every=0.05) or 0.0


def hang(service: Service, process: psutil.Process) -> None:
    """Stops a process, but not within a COMMIT: on SQLite that would stop everybody who writes."""

    def stopped() -> bool:
        process.suspend()
        free = can_write(service)
        if not free:
            process.resume()
        return free

    eventually(stopped, "it is stopped between two transactions", every=0.05)


def can_write(service: Service) -> bool:
    """Whether nobody holds SQLite's one lock."""
    url = make_url(service.database_url)
    if url.get_backend_name() != "sqlite":
        return True
    with closing(sqlite3.connect(str(url.database), timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        database.execute("ROLLBACK")
    return True


def trainer(service: Service, worker: str) -> psutil.Process:
    """The process that has a running job."""
    with database_of(service) as database, database.session(write=False) as session:
        return psutil.Process(session.scalars(select(Worker.pid).where(Worker.id == worker)).one())
