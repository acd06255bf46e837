"""The first start: schema, tenant, key."""

from pathlib import Path

from sqlalchemy import func, select

from app.admin.migrate import migrate
from app.config import Settings
from app.database.session import Database
from app.services.tenancy.keys import SCOPES, authenticate
from app.tables import ApiKey, Tenant


def test_the_first_start_makes_a_tenant_and_one_key_with_every_scope(
    empty_database_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "a" / "home"
    settings = Settings(home=home, database_url=empty_database_url)
    migrate(settings)
    key = (home / "key").read_text().strip()
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "key").stat().st_mode & 0o777 == 0o600

    migrate(settings)
    assert (home / "key").read_text().strip() == key
    database = Database(empty_database_url)
    with database.session(write=False) as session:
        assert session.scalars(select(Tenant.name)).all() == ["default"]
        assert session.scalar(select(func.count()).select_from(ApiKey)) == 1
        assert authenticate(session, key).scopes == set(SCOPES)
    database.dispose()
