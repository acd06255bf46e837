"""Files that are not what was written."""

import os
import random
import signal
from pathlib import Path

from sqlalchemy import select

from app.tables import Checkpoint
from tests.faults.plan import fault
from tests.faults.world import World


@fault("F12", "the newest checkpoint cut short, or a bit of it flipped", "the one before serves")
def damaged_checkpoint(world: World, draw: random.Random) -> str:
    from_where = []
    for damage in (cut, flip):
        job_id = world.post()
        at = world.moment(draw, job_id)
        pid = world.pid_of(at.worker)
        os.kill(pid, signal.SIGSTOP)  # nothing newer comes
        paths = checkpoints(world, job_id)
        assert len(paths) > 1
        damage(paths[-1], draw)
        os.kill(pid, signal.SIGKILL)
        world.goes_on(job_id, at, within=60)
        world.ends(job_id)
        assert "checkpoint_unreadable" in world.findings(job_id)
        from_where.append(world.resumed[-1])
        world.damaged.add(paths[-1])
    return f"resumed at {from_where}"


def checkpoints(world: World, job_id: str) -> list[Path]:
    """The files, the oldest first."""
    query = select(Checkpoint.location).where(Checkpoint.job_id == job_id)
    with world.database.session(write=False) as session:
        found = session.scalars(query.order_by(Checkpoint.iteration)).all()
    return [world.objects / location for location in found]


def cut(path: Path, draw: random.Random) -> None:
    """Ends somewhere before its end."""
    with path.open("r+b") as file:
        file.truncate(draw.randrange(path.stat().st_size))


def flip(path: Path, draw: random.Random) -> None:
    """One bit of it is another."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
