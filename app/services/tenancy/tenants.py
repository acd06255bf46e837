"""Tenants: made and listed; whatever else there is belongs to one."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.pagination import Page, page
from app.database.upsert import insert
from app.errors import Conflict, Invalid
from app.ids import new_id
from app.tables import Tenant
from training.spec.mistakes import Mistake


def create(session: Session, name: str) -> Tenant:
    """A new tenant; raises ``Conflict`` when there is one of that name."""
    if name != name.strip() or not name.isprintable():
        sentence = "must be printable, without a space at either end"
        raise Invalid("the name cannot be used", [Mistake("/name", "wrong_type", sentence)])
    made: Tenant | None = session.scalar(
        insert(session, Tenant)
        .values(id=new_id("tnt"), name=name)
        .on_conflict_do_nothing()
        .returning(Tenant)
    )
    if made is None:
        raise Conflict(f"there is already a tenant `{name}`", code="name_taken")
    return made


def listed(session: Session, limit: int, after: str | None) -> Page[Tenant]:
    """Tenants, newest first."""
    return page(session, select(Tenant), Tenant.id, limit, after)
