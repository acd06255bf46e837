"""A file on its way in, looked at closely: a service with a disk that is full is hard to have."""

from pathlib import Path

import pytest

from app.api.uploads import Arrival
from app.errors import Invalid, StorageFull
from app.intake.text import Bounds


def test_a_full_disk_is_told_as_such() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        arrival = Arrival(full, None, Bounds())
        with pytest.raises(StorageFull, match="the disk of the service is full"):
            arrival.take(b"x,y\n1,2\n")


def test_another_failure_of_the_disk_is_not_called_full(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with file.open("rb", buffering=0) as read_only:
        arrival = Arrival(read_only, None, Bounds())
        with pytest.raises(OSError, match="writ"):
            arrival.take(b"x,y\n1,2\n")


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_what_must_not_come_is_seen_wherever_pieces_end(size: int, tmp_path: Path) -> None:
    content = b"x,y\n" + b"1,2\n" * 300_000 + b"a" * 100 + b"\n" + b"b" * 101 + b"\n"
    content = content[-3_000:] if size < 10 else content
    with (tmp_path / "file").open("wb") as file, pytest.raises(Invalid) as refused:
        taken(Arrival(file, None, Bounds(line_bytes=100)), content, size)
    (mistake,) = refused.value.errors
    line = content.count(b"\n")
    assert mistake.message == f"line {line}: is longer than the 100 bytes allowed"


def taken(arrival: Arrival, content: bytes, size: int) -> None:
    for begin in range(0, len(content), size):
        arrival.take(content[begin : begin + size])
