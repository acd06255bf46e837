"""A file on its way in, looked at closely."""

from pathlib import Path

import pytest

from app.api.requests.upload import Arrival
from app.errors import Invalid
from app.ingestion.encoding import Bounds


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
