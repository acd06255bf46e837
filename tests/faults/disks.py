"""No room for files, and calls to the operating system that fail."""

import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx2

from tests.faults.plan import fault
from tests.faults.world import World
from tests.servers import eventually

TABLE = b"a,b,target\n" + b"".join(b"%d,%d,%d\n" % (i, -i, i % 3) for i in range(30_000))
Full = Callable[[int], AbstractContextManager[None]]
"""Takes the room away from a process, and gives it back."""
SMALL = 4096
"""Bytes that a file may have: fewer than a checkpoint has, or a model, or the table above."""


@fault(
    "F10",
    "no room under checkpoints, uploads and the database (EFBIG; ENOSPC of a small tmpfs)",
    "`storage_full` or a pause, 507 or 503, old checkpoints good; recovery without a restart",
    children=1,
)
def disk_full(world: World, draw: random.Random) -> str:
    said = [
        "EFBIG: " + no_room(world, draw, limited),
        "uploads: " + no_room_for_uploads(world, limited),
        "database: " + database_full(world, draw),
    ]
    with small_disk(world) as filled:
        if filled is None:
            said.append("ENOSPC not tried: nothing can be mounted here")
        else:
            said.append("ENOSPC: " + no_room(world, draw, filled))
            said.append("uploads: " + no_room_for_uploads(world, filled))
    assert all(process.alive for process in world.service.processes)
    return "; ".join(said)


def no_room(world: World, draw: random.Random, full: Full) -> str:
    """A job whose next checkpoint finds no room ends, and is tried again once there is some; one
    whose database has none either waits, and goes on."""
    job_id = world.post()
    at = world.moment(draw, job_id)
    pid = world.pid_of(at.worker)
    os.kill(pid, signal.SIGSTOP)  # it is not over before there is no room
    assert world.row(job_id).state == "running"
    with full(pid):
        os.kill(pid, signal.SIGCONT)
        stopped = eventually(lambda: stops(world, job_id), f"{job_id} stops", within=60)
    assert isinstance(stopped, str)
    if stopped == "waits":
        world.goes_on(job_id, at, within=90)
        assert world.ends(job_id).state == "succeeded"
        return "waited, and went on"
    again = world.retry(job_id)
    row = world.ends(again)
    assert row.state == "succeeded", row
    world.resumed.append(row.began_at)
    return f"storage_full; tried again from {row.began_at}"


def stops(world: World, job_id: str) -> str:
    """How it does; nothing yet: it goes on."""
    row = world.row(job_id)
    if row.state == "failed":
        error = world.error(job_id)
        assert (error["category"], error["code"]) == ("infrastructure", "storage_full"), error
        assert error["retryable"] is True
        return "fails"
    assert row.state in ("running", "queued"), row
    time.sleep(3)
    stands = world.row(job_id)
    return "waits" if stands.state != "failed" and stands.done == row.done else ""


def no_room_for_uploads(world: World, full: Full) -> str:
    """A refusal that says so, nothing left of the file, and room for it once there is some."""
    http = world.service.http

    def upload() -> httpx2.Response:
        headers = {"Content-Type": "text/csv"}
        return http.post("/v1/datasets?target=target", content=TABLE, headers=headers)

    files = kept(world)
    (api,) = [process for process in world.service.processes if process.name == "app"]
    with full(api.pid):
        answer = upload()
    assert answer.status_code in (507, 503), (answer.status_code, answer.text)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["retryable"] is True
    assert "Retry-After" in answer.headers
    assert kept(world) == files, "something is left of what was refused"
    again = upload()
    assert again.status_code == 201, again.text
    assert http.delete(f"/v1/datasets/{again.json()['id']}").status_code == 204
    assert kept(world) == files, "something is left of what was deleted"
    return f"{answer.status_code} {problem['code']}"


def kept(world: World) -> set[Path]:
    """The files of data sets, and those on their way."""
    found = {p for kind in ("dataset", "spool") for p in (world.objects / kind).rglob("*")}
    return {path for path in found if path.is_file() and path.name != ".lock"}


def database_full(world: World, draw: random.Random) -> str:
    """Nothing of SQLite's can grow: a job waits and clients are told so, then it goes on.

    PostgreSQL's files belong to its server; that it does not answer is another fault's matter.
    """
    if world.kind.__class__.__name__ != "Sqlite":
        return "PostgreSQL's own"
    job_id = world.post()
    at = world.moment(draw, job_id)
    with limits([process.pid for process in world.service.tree()], 4096):
        refused = 0
        for _ in range(10):
            answer = world.ledger.note(world.service.http.post("/v1/jobs", json={}))
            assert answer.status_code in (422, 503), answer.text
            answer = world.ledger.note(world.service.http.post(f"/v1/jobs/{job_id}/pause", json={}))
            assert answer.status_code in (503,), answer.text
            refused += 1
            time.sleep(0.3)
    row = world.ends(job_id)
    if row.state == "failed":
        assert world.error(job_id)["code"] == "storage_full"
        assert world.ends(world.retry(job_id)).state == "succeeded"
    return f"{refused} times 503, then the job {'went on' if row.fence == at.fence else row.state}"


def limited(pid: int) -> AbstractContextManager[None]:
    """A process whose files cannot grow."""
    return limits([pid], SMALL)


@contextmanager
def limits(pids: list[int], most: int) -> Iterator[None]:
    """No file of these processes grows beyond so many bytes: EFBIG."""
    before = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            before[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, before[pid][1]))
    try:
        yield
    finally:
        for pid, limit in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


@contextmanager
def small_disk(world: World) -> Iterator[Full | None]:
    """The files of the service on a disk of a few MB, and what fills it; ``None``: who runs this
    may not mount one."""
    objects = world.objects
    if not told(["mount", "-t", "tmpfs", "-o", "size=16m", "fallline", str(objects)]):
        yield None
        return
    told(["umount", str(objects)])
    aside = Path(tempfile.mkdtemp(prefix="fl-disk-"))
    shutil.copytree(objects, aside, dirs_exist_ok=True)
    assert told(["mount", "-t", "tmpfs", "-o", "size=16m", "fallline", str(objects)])
    shutil.copytree(aside, objects, dirs_exist_ok=True)
    shutil.rmtree(aside)

    @contextmanager
    def filled(_: int) -> Iterator[None]:
        filler = objects / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(65_536))
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))
        try:
            yield
        finally:
            filler.unlink()

    try:
        yield filled
    finally:
        shutil.copytree(objects, aside)
        assert told(["umount", str(objects)])
        shutil.rmtree(objects)
        shutil.move(aside, objects)


def told(command: list[str]) -> bool:
    """Whether the system did it."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


FAILING = (("fsync", "EIO"), ("rename", "ENOSPC"), ("write", "ENOSPC"), ("fsync", "ENOSPC"))


@fault(
    "F11",
    "the n-th write, fsync or rename of a training process fails",
    "never a committed bad checkpoint",
    children=1,
)
def nth_call_fails(world: World, draw: random.Random) -> str:
    if shutil.which("strace") is None:
        return "not tried here, for want of strace; tests/worker/test_nth_call.py fails every call"
    ends = []
    for call, error in FAILING:
        job_id = world.post()
        at = world.moment(draw, job_id)
        n = draw.randrange(1, 6)
        with failing(world.pid_of(at.worker), call, error, n):
            row = world.ends(job_id)
        if row.state == "failed":
            code = world.error(job_id)["code"]
            assert code == ("storage_full" if error == "ENOSPC" else "storage_failed"), code
            again = world.ends(world.retry(job_id))
            assert again.state == "succeeded", again
            world.resumed.append(again.began_at)
        ends.append(f"{call} {n} {error}: {row.state}")
    return ", ".join(ends)


@contextmanager
def failing(pid: int, call: str, error: str, n: int) -> Iterator[None]:
    """The n-th call of a process from now on fails."""
    inject = f"inject={call}:error={error}:when={n}"
    command = ["strace", "-f", "-p", str(pid), "-e", f"trace={call}", "-e", inject]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
