"""Keys: minted once, kept as a digest, judged by the database's clock."""

import hmac
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.database.base import db_now
from app.database.session import Database
from app.errors import Unauthenticated
from app.services.tenancy.keys import SCOPES, authenticate, digest, mint
from app.tables import ApiKey
from tests.app.database.test_session import Tenants


def test_a_key_says_who_asks_and_what_they_may_do(rows: Database, tenants: Tenants) -> None:
    with rows.session() as session:
        secret = mint(session, tenants[1], ("read",)).secret
        principal = authenticate(session, secret)
    assert re.fullmatch(r"fl_[0-9a-z]{26}_[A-Za-z0-9_-]{43}", secret)
    assert principal.tenant_id == tenants[1]
    assert principal.scopes == {"read"}
    assert principal.key_id == f"key_{secret.split('_')[1]}"


def test_only_the_digest_is_kept(rows: Database, tenants: Tenants) -> None:
    with rows.session() as session:
        secret = mint(session, tenants[1]).secret
    with rows.session(tenants[1], write=False) as session:
        key = session.scalars(select(ApiKey)).one()
    assert key.digest == digest(secret)
    assert key.scopes == list(SCOPES)
    assert secret.rpartition("_")[2] not in repr(vars(key))


def test_a_key_is_valid_until_it_expires_or_is_revoked(rows: Database, tenants: Tenants) -> None:
    with rows.session() as session:
        secret = mint(
            session, tenants[1], expires_at=datetime.now(UTC) + timedelta(minutes=1)
        ).secret
        assert authenticate(session, secret).tenant_id == tenants[1]
        for change in ({"expires_at": db_now(-0.01)}, {"expires_at": None, "revoked_at": db_now()}):
            session.execute(update(ApiKey).where(ApiKey.tenant_id == tenants[1]).values(**change))
            with pytest.raises(Unauthenticated):
                authenticate(session, secret)


@pytest.mark.parametrize(
    "secret", ["", "_", "__", "fl_", "fl__", "fl_x_y", "x" * 100_000, "ключ_x"]
)
def test_what_is_no_key_is_refused(secret: str, rows: Database) -> None:
    with rows.session(write=False) as session, pytest.raises(Unauthenticated):
        authenticate(session, secret)


def test_secrets_are_compared_in_constant_time_also_those_of_no_key(
    rows: Database, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    compare = hmac.compare_digest

    def watched(known: str, given: str) -> bool:
        compared.append((known, given))
        return compare(known, given)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    with rows.session() as session:
        secret = mint(session, tenants[1]).secret
        authenticate(session, secret)
        for wrong in (secret[:-1], f"fl_{'0' * 26}_{'A' * 43}"):
            with pytest.raises(Unauthenticated):
                authenticate(session, wrong)
    assert compared[0] == (digest(secret), digest(secret))
    assert len(compared) == 3
    assert {len(text) for pair in compared for text in pair} == {64}


def test_two_keys_share_nothing(rows: Database, tenants: Tenants) -> None:
    with rows.session() as session:
        one, two = (mint(session, tenants[1]).secret for _ in range(2))
    assert one.split("_")[1] != two.split("_")[1]
    assert one[-43:] != two[-43:]
