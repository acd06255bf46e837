"""Is it alive, is it ready."""

from typing import Literal

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from app import broker
from app.api.requests.dependencies import DatabaseDep
from app.api.schemas.base import Document
from app.database.session import Database
from app.services.operations import workers

router = APIRouter(tags=["health"])


class Alive(Document):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(Document):
    """Each part the service needs: ``ok`` or what is the matter."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]


@router.get("/healthz", operation_id="healthz")
async def healthz() -> Alive:
    """The process is alive; says nothing about anything else."""
    return Alive()


@router.get("/readyz", operation_id="readyz", responses={503: {"model": Readiness}})
def readyz(database: DatabaseDep, response: Response) -> Readiness:
    """Database, broker, and at least one warm worker of each pool."""
    checks = database_checks(database)
    checks["broker"] = "does not answer" if broker.pending(broker.TRAINING) is None else "ok"
    ready = set(checks.values()) == {"ok"}
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "not_ready", checks=checks)


def database_checks(database: Database) -> dict[str, str]:
    """The database, and what it knows of workers."""
    try:
        with database.session(write=False) as session:
            there = {pool: workers.present(session, pool) for pool in ("training", "interactive")}
    except SQLAlchemyError:
        return {"database": "does not answer", "worker": "unknown"}
    missing = [pool for pool, present in there.items() if not present]
    worker = f"no {' and no '.join(missing)} worker is ready" if missing else "ok"
    return {"database": "ok", "worker": worker}
