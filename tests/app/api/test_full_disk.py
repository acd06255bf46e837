"""A service whose files cannot grow says so, keeps nothing of what did not fit, and goes on."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from app.storage import LOCK
from tests.app.talk import problem
from tests.service import Service

TABLE = b"a,b,target\n" + b"".join(b"%d,%d,%d\n" % (i, -i, i % 3) for i in range(30_000))


@contextmanager
def no_file_beyond(pid: int, most: int) -> Iterator[None]:
    """As on a full disk, but for the number of the error: EFBIG."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def kept(service: Service) -> set[Path]:
    found = (service.home / "objects").rglob("*")
    return {path for path in found if path.is_file() and path.name != LOCK}


def upload(service: Service) -> httpx2.Response:
    where, headers = "/v1/datasets?target=target", {"Content-Type": "text/csv"}
    return service.http.post(where, content=TABLE, headers=headers)


def test_an_upload_that_finds_no_room_is_refused_and_leaves_nothing(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=0)
    (api,) = service.processes
    for most in (0, 4096, len(TABLE) - 1, len(TABLE) + 1):
        with no_file_beyond(api.pid, most):
            answer = upload(service)
        if (
            answer.status_code == 503
        ):  # SQLite's files are the service's own, and cannot grow either
            assert service.database_url.startswith("sqlite")
            problem(answer, 503, "unavailable")
        else:
            problem(answer, 507, "storage_full")
        assert "Retry-After" in answer.headers
        assert kept(service) == set()
    answer = upload(service)
    assert answer.status_code == 201
    assert len(kept(service)) == 1
    assert service.http.delete(answer.headers["Location"]).status_code == 204
    assert kept(service) == set()
