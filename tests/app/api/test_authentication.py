"""Every route is closed; a key opens what its scopes name, while it is valid."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx2
import pytest
from sqlalchemy import MetaData, select, update

from app.database.base import db_now
from app.services.tenancy.keys import SCOPES
from app.tables import ApiKey
from tests.app.conftest import Connect, database_of, new_key
from tests.app.talk import TINY, problem
from tests.service import Service

PUBLIC = {
    *("GET /healthz", "GET /readyz", "GET /openapi.json"),
    *("GET /docs", "GET /docs/start.js", "GET /docs/{name}"),
}

SCOPE = {
    "POST /v1/jobs": "train",
    "POST /v1/jobs/batch": "train",
    "POST /v1/jobs/validate": "train",
    "GET /v1/jobs": "read",
    "GET /v1/jobs/{job_id}": "read",
    "POST /v1/jobs/{job_id}/cancel": "train",
    "PATCH /v1/jobs/{job_id}": "train",
    "POST /v1/jobs/{job_id}/pause": "train",
    "POST /v1/jobs/{job_id}/resume": "train",
    "POST /v1/jobs/{job_id}/retry": "train",
    "POST /v1/jobs/{job_id}/fork": "train",
    "DELETE /v1/jobs/{job_id}": "train",
    "GET /v1/jobs/{job_id}/metrics": "read",
    "GET /v1/jobs/{job_id}/events": "read",
    "GET /v1/jobs/{job_id}/iterations/{n}": "read",
    "GET /v1/jobs/{job_id}/iterations/{n}/explain": "read",
    "POST /v1/jobs/{job_id}/verify": "train",
    "GET /v1/tasks/{task_id}": "read",
    "GET /v1/jobs/{job_id}/examples": "read",
    "POST /v1/jobs/{job_id}/predict": "predict",
    "GET /v1/catalog": "read",
    "GET /v1/catalog/schema": "read",
    "POST /v1/datasets": "train",
    "GET /v1/datasets": "read",
    "GET /v1/datasets/{dataset_id}": "read",
    "GET /v1/datasets/{dataset_id}/preview": "read",
    "DELETE /v1/datasets/{dataset_id}": "train",
    "GET /v1/models": "read",
    "GET /v1/models/{name}": "read",
    "GET /v1/models/{name}/versions/{version}": "read",
    "GET /v1/models/{name}/versions/{version}/download": "read",
    "POST /v1/models/{name}/predict": "predict",
    "POST /v1/models/{name}/versions/{version}/predict": "predict",
    "GET /metrics": "admin",
    "POST /v1/keys": "admin",
    "GET /v1/keys": "admin",
    "DELETE /v1/keys/{key_id}": "admin",
    "POST /v1/tenants": "admin",
    "GET /v1/tenants": "admin",
}


def called(client: httpx2.Client, operation: str, **headers: str) -> httpx2.Response:
    """The route, with something in the place of each parameter and a body where it takes one."""
    method, path = operation.split(" ", 1)
    body: Any = TINY if operation == "POST /v1/jobs" else {"inputs": [[1.0]]}
    headers = {"X-Request-Id": "same", **headers}
    json = body if method in {"POST", "PATCH"} else None
    return client.request(method, re.sub(r"\{[^}]*\}", "1", path), json=json, headers=headers)


def authorizations(service: Service) -> dict[str, str]:
    """What a stranger might send."""
    owner = new_key(service)
    now = datetime.now(UTC)
    expired = new_key(service, expires_at=now - timedelta(seconds=1))
    revoked = new_key(service)
    with database_of(service) as database, database.session() as session:
        named = update(ApiKey).where(ApiKey.id == f"key_{revoked.split('_')[1]}")
        session.execute(named.values(revoked_at=db_now()))
    another = owner[:-1] + ("a" if owner[-1] != "a" else "b")
    guessed = f"fl_{'0' * 26}_{'A' * 43}"
    keys = {
        "unknown": guessed,
        "wrong secret": another,
        "right id, no secret": owner.rpartition("_")[0],
        "right id, empty secret": f"fl_{owner.split('_')[1]}_",
        "longer": owner + "a",
        "shorter": owner[:-1],
        "another prefix": owner.replace("fl_", "xx_", 1),
        "upper case": owner.upper(),
        "expired": expired,
        "revoked": revoked,
        "the id of a key": f"key_{owner.split('_')[1]}",
        "a digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "one letter": "x",
        "long": "x" * 10_000,
        "another alphabet": "ключ",
    }
    schemes = {"basic": f"Basic {owner}", "no scheme": owner, "empty": "", "scheme alone": "Bearer"}
    return {name: f"Bearer {key}" for name, key in keys.items()} | schemes


def test_a_stranger_gets_the_same_refusal_everywhere_whatever_they_send(
    operations: frozenset[str], api: Service, connect: Connect
) -> None:
    stranger = connect(api)
    closed = operations - PUBLIC
    assert closed
    for operation in closed:
        answers = {"nothing": called(stranger, operation)}
        for name, header in authorizations(api).items():
            answers[name] = stranger.request(
                answers["nothing"].request.method,
                answers["nothing"].request.url.path,
                headers=[(b"Authorization", header.encode()), (b"X-Request-Id", b"same")],
            )
        for name, answer in answers.items():
            document = problem(answer, 401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer", (operation, name)
            assert document["detail"] in {
                "a key is needed: `Authorization: Bearer <key>`",
                "the key is not valid",
            }


def test_a_stranger_is_refused_before_anything_they_sent_is_read(
    api: Service, connect: Connect
) -> None:
    stranger = connect(api)
    for path in ("/v1/jobs", "/v1/jobs/1/predict", "/v1/models/m/predict"):
        problem(stranger.post(path, content=b"{torn"), 401, "unauthenticated")
        problem(stranger.post(path, content=b" " * 10_000_001), 401, "unauthenticated")
    problem(stranger.get("/v1/jobs?limit=0"), 401, "unauthenticated")
    problem(stranger.get("/v1/jobs/%00"), 401, "unauthenticated")


def test_every_route_has_its_scope(operations: frozenset[str]) -> None:
    assert operations - PUBLIC == set(SCOPE)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_what_its_scope_names_and_nothing_else(
    scope: str, api: Service, connect: Connect
) -> None:
    narrow = connect(api, new_key(api, scopes=(scope,)))
    wide = connect(api, new_key(api, scopes=tuple(s for s in SCOPES if s != scope)))
    for operation, needed in SCOPE.items():
        fits, misfits = (narrow, wide) if needed == scope else (wide, narrow)
        assert called(fits, operation).status_code not in {401, 403}, operation
        refused = problem(called(misfits, operation), 403, "insufficient_scope")
        assert refused["detail"] == f"the key lacks the scope `{needed}`"


def test_a_key_that_expires_later_is_valid_in_any_zone(api: Service, connect: Connect) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    for hours in (-11, 0, 14):
        there = soon.astimezone(timezone(timedelta(hours=hours)))
        assert connect(api, new_key(api, expires_at=there)).get("/v1/jobs").status_code == 200


def test_the_scheme_may_be_written_in_any_case(api: Service, connect: Connect) -> None:
    header = {"Authorization": f"bEARER {api.key}"}
    assert connect(api).get("/v1/jobs", headers=header).status_code == 200


def test_a_secret_is_nowhere_but_with_its_owner(service: Service, connect: Connect) -> None:
    key = new_key(service)
    assert connect(service, key).get("/v1/jobs").status_code == 200
    connect(service, key[:-1]).get("/v1/jobs")
    with database_of(service) as database, database.session(write=False) as session:
        tables = MetaData()
        tables.reflect(database.engine)
        kept = "".join(str(session.execute(select(t)).all()) for t in tables.sorted_tables)
    logs = "".join(log.read_text() for log in service.home.glob("*.log"))
    assert "jobs" in tables.tables
    for secret in (key, service.key):
        _, key_id, random = secret.split("_", 2)
        assert key_id in kept
        assert random not in kept
        assert random not in logs
        assert random[:-1] not in logs


def test_the_first_key_is_for_its_owner_alone(service: Service) -> None:
    assert (service.home / "key").stat().st_mode & 0o777 == 0o600
