"""Keys and tenants through HTTP: made, listed, revoked, and refused soon after."""

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, text, update

from app.api.live.key_cache import MAX_AGE_SECONDS
from app.database.base import db_now
from app.tables import ApiKey, IdempotentAnswer
from tests.app.conftest import Connect, database_of, new_key
from tests.app.talk import mistakes, problem
from tests.servers import eventually
from tests.service import Service, free_port

SOON = 5.0
"""Within so many seconds a key that has ended is refused everywhere."""


def made(service: Service, **body: Any) -> Any:
    answer = service.http.post("/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_new_key_opens_what_was_asked_for_and_its_secret_is_shown_once(
    api: Service, connect: Connect
) -> None:
    key = made(api, scopes=["predict", "read"], expires_at="2099-12-31T23:59:59.5+01:00")
    assert re.fullmatch(r"fl_[0-9a-z]{26}_[\w-]{43}", key["key"])
    assert key["id"] == f"key_{key['key'].split('_')[1]}"
    assert key["scopes"] == ["read", "predict"]
    assert key["expires_at"] == "2099-12-31T22:59:59.500Z"
    assert (key["object"], key["revoked_at"], key["notice"]) == ("key", None, None)
    client = connect(api, key["key"])
    assert client.get("/v1/jobs").status_code == 200
    problem(client.get("/v1/keys"), 403, "insufficient_scope")
    listed = api.http.get("/v1/keys", params={"limit": 100})
    assert {k: v for k, v in key.items() if k not in {"key", "notice"}} in listed.json()["data"]
    assert key["key"].rpartition("_")[2] not in listed.text
    with database_of(api) as database, database.session(write=False) as session:
        assert session.get_one(ApiKey, key["id"]).digest not in listed.text


def test_a_key_can_be_made_for_another_tenant_who_has_things_of_their_own(
    api: Service, connect: Connect
) -> None:
    tenant = api.http.post("/v1/tenants", json={"name": "Ännchen & Söhne"})
    assert tenant.status_code == 201
    assert tenant.json()["object"] == "tenant"
    assert tenant.json() in api.http.get("/v1/tenants").json()["data"]
    key = made(api, tenant=tenant.json()["id"], scopes=["read"])
    assert key["tenant"] == tenant.json()["id"]
    assert connect(api, key["key"]).get("/v1/jobs").json()["data"] == []


def test_a_name_can_be_taken_once(api: Service) -> None:
    assert api.http.post("/v1/tenants", json={"name": "once"}).status_code == 201
    taken = api.http.post("/v1/tenants", json={"name": "once"})
    assert problem(taken, 409, "name_taken")["detail"] == "there is already a tenant `once`"


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "x" * 101, 3, None])
def test_a_name_that_nobody_could_read_is_refused(name: object, api: Service) -> None:
    found = mistakes(api.http.post("/v1/tenants", json={"name": name}), "invalid_request")
    assert list(found) == ["/name"]


def test_every_mistake_of_a_key_is_pointed_at(api: Service) -> None:
    body = {"tenant": "tnt_nobody", "scopes": ["raed", "read", "root"], "expires_at": "tomorrow"}
    found = mistakes(api.http.post("/v1/keys", json=body), "invalid_request")
    assert found == {
        "/scopes/0": ["unknown_name", "`raed`: did you mean `read`?"],
        "/scopes/2": ["unknown_name", "`root`: known are admin, predict, read, train"],
        "/tenant": ["unknown_tenant", "there is no tenant tnt_nobody"],
        "/expires_at": [
            "wrong_type",
            "must be a time with its zone, such as 2030-01-31T12:00:00Z",
        ],
    }


@pytest.mark.parametrize(
    ("body", "pointer", "sentence"),
    [
        ({}, "/scopes", "is required"),
        ({"scopes": []}, "/scopes", "must have at least 1 entry"),
        ({"scopes": "read"}, "/scopes", "must be a list"),
        ({"scopes": [1]}, "/scopes/0", "must be a string"),
        ({"scopes": ["read"] * 21}, "/scopes", "must have at most 20 entries"),
        ({"scopes": ["read"], "expires": 1}, "/expires", "`expires`: did you mean `expires_at`?"),
        ({"scopes": ["read"], "expires_at": 1}, "/expires_at", "must be a string"),
        (
            {"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"},
            "/expires_at",
            "must lie in the future",
        ),
        (
            {"scopes": ["read"], "expires_at": "2099-01-01T00:00:00"},
            "/expires_at",
            "must be a time with its zone, such as 2030-01-31T12:00:00Z",
        ),
        (
            {"scopes": ["read"], "expires_at": "9999-12-31T23:59:59-23:59"},
            "/expires_at",
            "must be a time with its zone, such as 2030-01-31T12:00:00Z",
        ),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    body: object, pointer: str, sentence: str, api: Service
) -> None:
    found = mistakes(api.http.post("/v1/keys", json=body), "invalid_request")
    assert {at: said for at, (_, said) in found.items()} == {pointer: sentence}


def refused_soon(clients: list[httpx2.Client]) -> None:
    """Each of them, within the time that is promised."""

    def refused() -> bool:
        return {client.get("/v1/jobs").status_code for client in clients} == {401}

    eventually(refused, "the key is refused by all of them", within=SOON, every=0.05)


def test_a_revoked_key_is_refused_by_every_process_soon(
    service: Service, another_api: Callable[..., httpx2.Client], connect: Connect
) -> None:
    key = made(service, scopes=["read"])
    clients = [connect(service, key["key"]) for _ in range(2)]
    clients[1].base_url = another_api().base_url
    assert {client.get("/v1/jobs").status_code for client in clients} == {200}  # both know it now
    revoked = service.http.delete(f"/v1/keys/{key['id']}")
    assert (revoked.status_code, revoked.content) == (204, b"")
    refused_soon(clients)
    assert service.http.delete(f"/v1/keys/{key['id']}").status_code == 204
    data = service.http.get("/v1/keys", params={"limit": 100}).json()["data"]
    assert [k["revoked_at"] is not None for k in data if k["id"] == key["id"]] == [True]


def test_a_key_that_expires_is_refused_soon(api: Service, connect: Connect) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1)
    client = connect(api, new_key(api, expires_at=until))
    assert client.get("/v1/jobs").status_code == 200
    eventually(lambda: datetime.now(UTC) > until, "the moment comes", within=2)
    refused_soon([client])


def test_a_thousand_requests_cost_a_look_a_moment(
    own_service: Callable[..., Service], connect: Connect
) -> None:
    """Without its table a look fails, so that shows who still asks the database."""
    service = own_service(workers=0)
    client = connect(service, new_key(service))
    assert client.get("/v1/jobs").status_code == 200
    with database_of(service) as database, database.session() as session:
        session.execute(text("ALTER TABLE api_keys RENAME TO api_keys_gone"))
    before = time.monotonic()
    statuses = [client.get("/v1/jobs").status_code for _ in range(10)]
    if time.monotonic() - before < 1:
        assert set(statuses) == {200}
    eventually(
        lambda: client.get("/v1/jobs").status_code >= 500, "it looks again", within=MAX_AGE_SECONDS
    )


def test_a_key_revoked_while_the_database_is_busy_is_refused_as_soon(
    api: Service, connect: Connect
) -> None:
    client = connect(api, new_key(api))
    assert client.get("/v1/jobs").status_code == 200
    key_id = f"key_{client.headers['Authorization'].split('_')[1]}"
    with database_of(api) as database, database.session() as session:
        if session.get_bind().dialect.name == "postgresql":  # SQLite has its one writer anyway
            session.execute(text("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE"))
        session.execute(update(ApiKey).where(ApiKey.id == key_id).values(revoked_at=db_now()))
        waiting = threading.Thread(target=refused_soon, args=([client],))
        begun = time.monotonic()
        eventually(
            lambda: time.monotonic() - begun > MAX_AGE_SECONDS, "what was known is too old", 10
        )
        waiting.start()  # asks while nobody can be told
        session.flush()
    waiting.join()
    problem(client.get("/v1/jobs"), 401, "unauthenticated")


def test_an_unknown_key_cannot_be_revoked(api: Service) -> None:
    problem(api.http.delete("/v1/keys/key_nobody"), 404, "not_found")


def test_the_last_key_that_can_make_others_stays(
    own_service: Callable[..., Service], connect: Connect
) -> None:
    service = own_service(workers=0)
    first = f"key_{service.key.split('_')[1]}"
    made(service, scopes=["read", "train", "predict"])
    made(service, scopes=["admin"], expires_at="2099-01-01T00:00:00Z")
    problem(service.http.delete(f"/v1/keys/{first}"), 409, "last_admin_key")
    second = made(service, scopes=["admin"])
    assert service.http.delete(f"/v1/keys/{first}").status_code == 204
    heir = connect(service, second["key"])
    problem(heir.delete(f"/v1/keys/{second['id']}"), 409, "last_admin_key")


def test_lists_go_page_by_page(api: Service) -> None:
    for n in range(3):
        made(api, scopes=["read"])
        assert api.http.post("/v1/tenants", json={"name": f"page {n}"}).status_code == 201
    for path in ("/v1/keys", "/v1/tenants"):
        whole = api.http.get(path, params={"limit": 100}).json()["data"]
        ids = [entry["id"] for entry in whole]
        assert ids == sorted(ids, reverse=True)
        first = api.http.get(path, params={"limit": 2}).json()
        assert (first["data"], first["has_more"]) == (whole[:2], True)
        after = {"limit": 1, "after": first["next"]}
        assert api.http.get(path, params=after).json()["data"] == whole[2:3]


def test_a_repeated_request_for_a_key_makes_one_and_shows_no_secret_again(api: Service) -> None:
    headers = {"Idempotency-Key": f"mint-{free_port()}"}
    answers = [
        api.http.post("/v1/keys", json={"scopes": ["read"]}, headers=headers) for _ in range(2)
    ]
    first, again = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert first["notice"] is None
    assert again == first | {
        "key": None,
        "notice": "the secret was in the first answer alone; it is not kept",
    }
    with database_of(api) as database, database.session(write=False) as session:
        kept = session.scalars(select(IdempotentAnswer.body)).all()
    assert kept
    assert not any(first["key"][-43:].encode() in (body or b"") for body in kept)
