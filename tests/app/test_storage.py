"""Files that are whole or absent."""

import errno
import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from app.storage import DamagedFile, Storage, is_full


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "objects")


def files(storage: Storage) -> list[Path]:
    return [path for path in storage.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "content",
    [b"", b"weights", random.Random(0).randbytes(3_000_000)],
    ids=lambda content: f"{len(content)} bytes",
)
def test_what_is_stored_comes_back(content: bytes, storage: Storage) -> None:
    stored = storage.put("ckpt", content)
    assert stored.size == len(content)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert storage.get(stored.location, stored.sha256) == content
    assert Storage(storage.root).get(stored.location, stored.sha256) == content


def test_no_temporary_file_is_left(storage: Storage) -> None:
    stored = [storage.put("model", b"x") for _ in range(20)]
    assert {str(p.relative_to(storage.root)) for p in files(storage)} == {
        one.location for one in stored
    }


def test_a_file_that_could_not_be_written_leaves_nothing(storage: Storage) -> None:
    storage.root.mkdir()
    (storage.root / "ckpt").touch()  # a file where the folder should be
    with pytest.raises(OSError, match="ckpt"):
        storage.put("ckpt", b"x")
    assert files(storage) == [storage.root / "ckpt"]


@pytest.mark.parametrize(
    ("code", "full"),
    [(errno.ENOSPC, True), (errno.EFBIG, True), (errno.EDQUOT, True), (errno.EIO, False)],
)
def test_a_full_disk_is_told_from_a_broken_one(code: int, full: bool) -> None:
    assert is_full(OSError(code, "…")) is full


def test_a_line_of_the_log_that_cannot_be_written_fails_no_work() -> None:
    code = (
        "from app.logging import *; configure_logging(); structlog.get_logger().info('x'); print(1)"
    )
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"1\n"


def test_the_same_content_twice_is_two_files(storage: Storage) -> None:
    one, two = storage.put("ckpt", b"same"), storage.put("ckpt", b"same")
    storage.delete(one.location)
    assert storage.get(two.location, two.sha256) == b"same"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.write_bytes(b"W" + path.read_bytes()[1:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["shorter", "longer", "another bit", "empty", "gone", "a folder"],
)
def test_a_damaged_file_is_told_from_a_whole_one(damage: object, storage: Storage) -> None:
    stored = storage.put("ckpt", b"weights")
    assert callable(damage)
    damage(storage.root / stored.location)
    with pytest.raises(DamagedFile):
        storage.get(stored.location, stored.sha256)


def test_a_deleted_file_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    stored = storage.put("ckpt", b"weights")
    storage.delete(stored.location)
    storage.delete(stored.location)
    assert files(storage) == []


def test_a_location_says_nothing_but_its_kind(storage: Storage) -> None:
    kind, shard, name = storage.put("ckpt", b"weights").location.split("/")
    assert (kind, shard) == ("ckpt", name[-2:])
    assert name.startswith("ckpt_")
