"""What holds after every run, whatever happened in it."""

import hashlib
import json
from typing import Any

from sqlalchemy import select

from app.config import Settings
from app.database.base import db_now
from app.services.operations.workers import SILENCE_SECONDS
from app.services.tenancy import quotas
from app.storage import LOCK
from app.tables import HELD, Checkpoint, Job, ModelVersion, Worker
from tests.faults.world import JOB, World
from tests.servers import eventually
from worker.maintenance.orphans import Housekeeper

Undisturbed = dict[str, tuple[dict[str, Any], str]]
"""By specification: the series and the hash of the final weights of a run without a fault."""


def recorded(world: World, job_id: str) -> tuple[dict[str, Any], str]:
    """All that a job that has ended well left."""
    names = "loss,validation_loss,validation_accuracy"
    answer = world.service.http.get(f"/v1/jobs/{job_id}/metrics", params={"series": names})
    assert answer.status_code == 200, answer.text
    with world.database.session(write=False) as session:
        query = select(ModelVersion.sha256).where(ModelVersion.job_id == job_id)
        return answer.json()["series"], session.scalars(query).one()


def spec_of(world: World, job_id: str) -> str:
    """What two jobs have in common when they are to have the same numbers."""
    with world.database.session(write=False) as session:
        spec = session.scalars(select(Job.spec).where(Job.id == job_id)).one()
    alike = {name: value for name, value in spec.items() if name not in ("name", "metadata")}
    return json.dumps(alike, sort_keys=True)


def learn(world: World, undisturbed: Undisturbed, **changes: Any) -> None:
    """Runs a job with nothing in its way, once for all worlds."""
    key = json.dumps(JOB | changes, sort_keys=True)
    if key not in undisturbed:
        job_id = world.post(**changes)
        assert world.ends(job_id).state == "succeeded"
        undisturbed[key] = undisturbed[spec_of(world, job_id)] = recorded(world, job_id)


def check(world: World, undisturbed: Undisturbed) -> None:
    """All invariants; raises ``AssertionError`` with the first that does not hold."""
    for job_id in world.ledger.accepted:
        world.ends(job_id)  # 1: exists, and reaches a terminal state
    world.ledger.look()
    assert not world.ledger.broken, world.ledger.broken[:5]  # 1, 3, 4
    for job_id in world.ledger.accepted:
        if world.row(job_id).state == "succeeded":
            same_numbers(world, job_id, undisturbed)
    files_are_sound(world)
    quiet(world)
    files_are_named(world)


def same_numbers(world: World, job_id: str, undisturbed: Undisturbed) -> None:
    """2 and 5: every loss once and as it has to be, and the same final weights."""
    series, weights = recorded(world, job_id)
    assert series["loss"]["iteration"] == list(range(world.row(job_id).iteration)), job_id
    expected = undisturbed.get(spec_of(world, job_id))
    if expected is not None:
        assert series == expected[0], f"{job_id}: other numbers than without a fault"
        assert weights == expected[1], f"{job_id}: other weights than without a fault"


def files_are_sound(world: World) -> None:
    """5: whatever a row names is there and is what was stored."""
    with world.database.session(write=False) as session:
        named = [
            *session.execute(select(Checkpoint.location, Checkpoint.sha256)),
            *session.execute(select(ModelVersion.location, ModelVersion.sha256)),
        ]
    for location, sha256 in named:
        path = world.objects / location
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path in world.damaged or found == sha256, f"{location} is not what was stored"


def files_are_named(world: World) -> None:
    """7: once orphans were collected, every file is named by a row, and a recount of what is stored
    comes to what the quotas say."""
    settings = Settings(
        home=world.service.home, database_url=world.service.database_url, orphans_kept_hours=1e-9
    )
    keeper = Housekeeper(settings, world.database)

    def done() -> bool:
        keeper.tidy()
        return keeper.rest_until > 0

    eventually(done, "a whole round of housekeeping")
    sizes = {
        path.relative_to(world.objects).as_posix(): path.stat().st_size
        for path in world.objects.rglob("*")
        if path.is_file() and path.name != LOCK and path not in world.damaged
    }
    with world.database.session(write=False) as session:
        rows = [row for t in quotas.KEPT for row in session.execute(select(t.location, t.size))]
        told = quotas.stored(session)
    spoiled = {path.relative_to(world.objects).as_posix() for path in world.damaged}
    named = {location: size for location, size in rows if location not in spoiled}
    assert sizes == named, (
        f"not named, or of another size: {set(sizes.items()) ^ set(named.items())}"
    )
    assert told == sum(size for _, size in rows)


def quiet(world: World) -> None:
    """6: nobody holds anything, and every process belongs to somebody."""
    with world.database.session(write=False) as session:
        held = session.scalars(select(Job.id).where(Job.state.in_(HELD))).all()
    assert not held, f"leases are left: {held}"

    def orphans() -> list[str]:
        ours = {process.pid for process in world.service.processes}
        return [
            f"{process.pid} {process.name()}"
            for process in world.service.tree()
            if process.pid not in ours and not ours & {p.pid for p in process.parents()}
        ]

    eventually(lambda: not orphans(), f"no orphans are left: {orphans()}", within=10)
    eventually(lambda: seen(world) <= pids(world), "dead workers are silent", within=30)


def pids(world: World) -> set[int]:
    """Of all that lives."""
    return {process.pid for process in world.service.tree()}


def seen(world: World) -> set[int]:
    """Of the workers that somebody keeps fresh; those of a machine that is gone are forgotten
    only after an hour."""
    query = select(Worker.pid).where(Worker.seen_at > db_now(-SILENCE_SECONDS))
    with world.database.session(write=False) as session:
        return set(session.scalars(query))
