"""Whichever call to the operating system fails: a file is whole, or not there."""

import errno
from collections.abc import Callable
from itertools import count, groupby
from pathlib import Path

import pytest

from app.storage import Storage
from tests.failing import failing

CONTENT = bytes(range(256)) * 1000


def files(storage: Storage) -> list[Path]:
    return [path for path in storage.root.rglob("*") if path.is_file()]


def put(storage: Storage) -> None:
    storage.put("ckpt", CONTENT)


def draft(storage: Storage) -> None:
    with storage.draft("dataset") as draft:
        draft.file.write(CONTENT)
        draft.keep(draft.sealed())


FOLDER, FILE, NAMED = ["mkdir", "fsync"], ["open", "write", "fsync"], ["rename", "fsync"]


@pytest.mark.parametrize(
    ("work", "order"),
    [
        (put, [*3 * FOLDER, *FILE, *NAMED]),
        (draft, [*2 * FOLDER, *FILE, *FOLDER, *NAMED]),
    ],
)
def test_all_of_it_is_on_the_disk_before_the_next_depends_on_it(
    work: Callable[[Storage], None], order: list[str], tmp_path: Path
) -> None:
    storage = Storage(tmp_path / "objects")
    with failing(storage.root, 0) as calls:
        work(storage)
    assert [name for name, _ in groupby(calls.made)] == order


def test_a_second_name_is_on_the_disk_when_it_is_given(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    stored = storage.put("ckpt", CONTENT)
    with failing(storage.root, 0) as calls:
        storage.share("model", stored.location)
    assert calls.made == [*2 * FOLDER, "link", "fsync"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_file_that_could_not_be_stored_is_not_there(code: int, tmp_path: Path) -> None:
    failed = every_call(put, code, tmp_path, whole=False)
    assert failed >= {"mkdir", "open", "write", "fsync", "rename"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_draft_that_could_not_be_kept_is_whole_or_not_there(code: int, tmp_path: Path) -> None:
    failed = every_call(draft, code, tmp_path, whole=True)
    assert failed >= {"mkdir", "open", "write", "fsync", "rename"}


def every_call(
    work: Callable[[Storage], None], code: int, tmp_path: Path, *, whole: bool
) -> set[str | None]:
    """Does the work again and again, until no call fails any more; what failed. ``whole``: the file
    may be there all the same, with all it has to have."""
    seen = set[str | None]()
    for n in count(1):
        storage = Storage(tmp_path / str(n))
        with failing(storage.root, n, code) as calls:
            try:
                work(storage)
            except OSError as error:
                assert error.errno == code  # noqa: PT017 -- some calls go through
        if calls.failed is None:
            break
        seen.add(calls.failed)
        left = files(storage)
        assert left == [] or (whole and [path.read_bytes() for path in left] == [CONTENT])
    assert [path.read_bytes() for path in files(storage)] == [CONTENT]
    return seen


def test_a_second_name_that_could_not_be_given_harms_not_the_first(tmp_path: Path) -> None:
    seen = set[str | None]()
    for n in count(1):
        storage = Storage(tmp_path / str(n))
        stored = storage.put("ckpt", CONTENT)
        with failing(storage.root, n) as calls:
            try:
                storage.share("ckpt", stored.location)
            except OSError:
                assert files(storage) == [storage.root / stored.location]
        if calls.failed is None:
            break
        seen.add(calls.failed)
        assert storage.get(stored.location, stored.sha256) == CONTENT
    assert len(files(storage)) == 2
    assert seen >= {"link", "fsync"}
