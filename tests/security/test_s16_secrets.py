"""S16, secrets at rest: a key is with its owner, and in no dump, log, file or message."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.app.admin.test_backup import Run, programs, run
from tests.app.conftest import new_key
from tests.app.talk import DIGITS, TINY, finished, posted
from tests.service import Service

__all__ = ["programs", "run"]


def parts_of(key: str) -> set[bytes]:
    """What must not be found: the random part, and any long piece of it."""
    random = key.split("_", 2)[2]
    return {random[i : i + 16].encode() for i in range(0, len(random) - 15, 9)}


def heard(client: redis.Redis) -> Iterator[bytes]:
    """All that the broker keeps."""
    for name in client.scan_iter():
        yield bytes(name)
        yield client.dump(name) or b""


@pytest.fixture
def used(service: Service) -> tuple[Service, list[str]]:
    """A service whose keys were used, rightly, wrongly, and in places where no key belongs."""
    first, second = service.key, new_key(service, tenant="of-s16")
    for key in (first, second, second[:-1]):
        service.http.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"})
        service.http.get("/v1/jobs", headers={"Authorization": f"Basic {key}"})
    for key in (first, second):
        service.http.get(f"/v1/jobs/{key}")
        service.http.get("/v1/jobs", params={"after": key, "key": key, "token": key})
        service.http.get("/nothing", headers={"X-Api-Key": key, "Cookie": f"key={key}"})
        service.http.post("/v1/jobs", json={**TINY, "unknown": key})
        service.http.post("/v1/jobs", content=key.encode())
    finished(service, posted(service, TINY))
    return service, [first, second]


def test_no_dump_log_file_or_message_holds_a_key(
    used: tuple[Service, list[str]], run: Run, tmp_path: Path
) -> None:
    service, keys = used
    assert run(service, "backup", tmp_path / "saved").returncode == 0
    (tmp_path / "saved/key").unlink()  # the first key, as its owner has it
    places = {
        path: path.read_bytes()
        for folder in (service.home, tmp_path / "saved")
        for path in folder.rglob("*")
        if path.is_file() and path != service.home / "key"
    }
    assert {".log", ""} <= {path.suffix for path in places}
    broker = b"".join(heard(service.redis.client()))
    for key in keys:
        for piece in parts_of(key):
            assert [str(path) for path, content in places.items() if piece in content] == []
            assert piece not in broker


def test_no_process_shows_a_key_to_whoever_lists_processes(
    used: tuple[Service, list[str]],
) -> None:
    service, keys = used
    shown = str([(p.cmdline(), p.environ()) for p in service.tree()])
    assert service.env["FALLLINE_HOME"] in shown
    for key in keys:
        assert key not in shown


def test_a_message_of_the_broker_names_nothing_at_all(own_service: Callable[..., Service]) -> None:
    service = own_service(workers=0)
    job_id = posted(service, DIGITS)
    broker = b"".join(heard(service.redis.client()))
    assert b"fallline.training" in broker
    assert job_id.encode() not in broker
    assert b"digits" not in broker
    assert (service.home / "key").read_bytes().strip() not in broker
