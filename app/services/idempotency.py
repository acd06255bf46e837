"""Answers kept for requests that are repeated under an ``Idempotency-Key``.

The row is inserted first in the transaction of the effect and filled in last: the effect and its
answer become durable together, or neither does. A twin that comes meanwhile waits at the insertion
(PostgreSQL: for the row of the unique index; SQLite: for the one writer).
"""

from dataclasses import dataclass
from typing import Any, NoReturn

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.database.upsert import insert
from app.errors import Invalid
from app.tables import IdempotentAnswer

KEPT_SECONDS = 24 * 3600.0


@dataclass
class IdempotentRequest:
    """A request that may be a repetition; ``session`` is where its effect happens, once begun."""

    key: str
    request_sha256: str
    tenant_id: str = ""
    session: Session | None = None


class AlreadyAnswered(Exception):
    """The request was answered before: that is to be answered again, and nothing to be done."""

    def __init__(self, answer: IdempotentAnswer) -> None:
        super().__init__(answer.key)
        assert answer.status is not None, "what has committed has its answer"
        self.status = answer.status
        self.headers = answer.headers or {}
        self.body = answer.body


def find(session: Session, tenant_id: str, attempt: IdempotentRequest) -> None:
    """A look before the work, which waits for nobody and takes no key. Raises as ``begin`` does."""
    named = select(IdempotentAnswer).filter_by(tenant_id=tenant_id, key=attempt.key)
    kept = IdempotentAnswer.created_at >= db_now(-KEPT_SECONDS)
    answer = session.scalar(named.where(kept))
    if answer is not None:
        raise_stored(answer, attempt)


def raise_stored(answer: IdempotentAnswer, attempt: IdempotentRequest) -> NoReturn:
    """Raises what is to be answered instead of acting."""
    if answer.request_sha256 != attempt.request_sha256:
        raise Invalid(
            "the Idempotency-Key was used for another request",
            code="idempotency_key_reused",
        )
    raise AlreadyAnswered(answer)


def begin(session: Session, tenant_id: str, attempt: IdempotentRequest) -> None:
    """First in the transaction: takes the key. Raises ``Known``, or ``Invalid`` when the key was
    used for something else."""
    row = {"tenant_id": tenant_id, "key": attempt.key}
    old = delete(IdempotentAnswer).filter_by(**row)
    session.execute(old.where(IdempotentAnswer.created_at < db_now(-KEPT_SECONDS)))
    taken = session.scalar(
        insert(session, IdempotentAnswer)
        .values(**row, request_sha256=attempt.request_sha256)
        .on_conflict_do_nothing()
        .returning(IdempotentAnswer.key)
    )
    if taken is None:
        raise_stored(session.scalars(select(IdempotentAnswer).filter_by(**row)).one(), attempt)
    attempt.tenant_id, attempt.session = tenant_id, session


def keep(attempt: IdempotentRequest, status: int, headers: dict[str, Any], body: bytes) -> None:
    """Last in the transaction: what a repetition is answered."""
    assert attempt.session is not None
    attempt.session.execute(
        update(IdempotentAnswer)
        .filter_by(tenant_id=attempt.tenant_id, key=attempt.key)
        .values(status=status, headers=headers, body=body)
    )


def sweep(session: Session) -> None:
    """Forgets what is older than a day."""
    old = IdempotentAnswer.created_at < db_now(-KEPT_SECONDS)
    session.execute(delete(IdempotentAnswer).where(old))
