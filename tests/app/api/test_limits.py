"""What a tenant may have and how often it may ask, through HTTP: 429, with the limit named."""

from collections.abc import Callable

import httpx2

from tests.app.conftest import Connect, new_key
from tests.app.talk import FOR_EVER, TINY, Document, job, problem
from tests.servers import eventually
from tests.service import Service


def refused(answer: httpx2.Response, code: str, setting: str) -> Document:
    document = problem(answer, 429, code)
    assert int(answer.headers["Retry-After"]) >= 1
    assert setting in document["detail"]
    return document


def test_a_tenant_may_queue_so_many_jobs_and_asks_again_later(
    own_service: Callable[..., Service], connect: Connect
) -> None:
    service = own_service(workers=0, max_queued_jobs=2)
    ids = [service.http.post("/v1/jobs", json=TINY).json()["id"] for _ in range(2)]
    again = {"Idempotency-Key": "again"}
    for _ in range(2):  # a refusal is not an answer to be repeated
        answer = service.http.post("/v1/jobs", json=TINY, headers=again)
        refused(answer, "quota_exceeded", "FALLLINE_MAX_QUEUED_JOBS")
    other = connect(service, new_key(service, tenant="other"))
    assert other.post("/v1/jobs", json=TINY).status_code == 202
    assert service.http.post(f"/v1/jobs/{ids[0]}/cancel").status_code == 202
    assert service.http.post("/v1/jobs", json=TINY, headers=again).status_code == 202
    assert len(service.http.get("/v1/jobs").json()["data"]) == 3


def test_a_tenant_may_keep_so_many_bytes(own_service: Callable[..., Service]) -> None:
    service = own_service(workers=0, max_stored_bytes=1)
    headers, table = {"Content-Type": "text/csv"}, "a,b\n1,2\n2,3\n3,5\n"
    answer = service.http.post("/v1/datasets?target=b", content=table, headers=headers)
    refused(answer, "quota_exceeded", "FALLLINE_MAX_STORED_BYTES")
    assert service.http.get("/v1/datasets").json()["data"] == []
    files = [f.name for f in (service.home / "objects").rglob("*") if f.is_file()]
    assert [name for name in files if name != ".lock"] == []


def test_a_tenant_that_asks_too_often_is_told_and_others_and_health_are_not(
    own_service: Callable[..., Service], connect: Connect
) -> None:
    service = own_service(workers=0, requests_per_second=3)
    other = connect(service, new_key(service, tenant="other"))
    answers = [service.http.get("/v1/jobs") for _ in range(30)]
    told = [answer for answer in answers if answer.status_code == 429]
    assert told
    for answer in told:
        refused(answer, "rate_limited", "FALLLINE_REQUESTS_PER_SECOND")
    assert {a.status_code for a in answers} == {200, 429}
    assert other.get("/v1/jobs").status_code == 200
    assert {service.http.get("/healthz").status_code for _ in range(10)} == {200}
    eventually(lambda: service.http.get("/v1/jobs").status_code == 200, "it may ask again", 5)


def test_without_redis_requests_are_answered_and_limited(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=0, requests_per_second=5)
    service.redis.process.kill()
    answers = [service.http.get("/v1/jobs") for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 2


def test_a_tenant_at_its_limit_is_passed_over_and_its_jobs_say_so(
    own_service: Callable[..., Service], connect: Connect
) -> None:
    service = own_service(worker_processes=2, max_running_jobs=1)
    other = connect(service, new_key(service, tenant="other"))
    urgent = {**FOR_EVER, "priority": 100, "fuse": "never"}
    ids = [service.http.post("/v1/jobs", json=urgent).json()["id"] for _ in range(2)]

    def states() -> list[str]:
        return [job(service, job_id)["state"] for job_id in ids]

    eventually(lambda: sorted(states()) == ["queued", "running"], "one of them runs", within=60)
    theirs = other.post("/v1/jobs", json={**FOR_EVER, "priority": -100}).json()["id"]
    eventually(
        lambda: other.get(f"/v1/jobs/{theirs}").json()["state"] == "running",
        "the other tenant's job is not held up",
        within=60,
    )
    assert sorted(states()) == ["queued", "running"]
    waits = ids[states().index("queued")]
    assert job(service, waits)["queue"]["reason"] == "tenant_at_its_limit"
    assert service.http.post(f"/v1/jobs/{ids[states().index('running')]}/cancel").is_success
    eventually(lambda: job(service, waits)["state"] == "running", "its turn comes", within=60)
    for client, job_id in ((service.http, waits), (other, theirs)):
        assert client.post(f"/v1/jobs/{job_id}/cancel").is_success
