"""S9 and S10: what is small and grows, or says that it is larger than it is, takes no memory."""

import json
import tracemalloc
import zlib
from pathlib import Path

import pytest

from tests.app.talk import Document, mistakes
from tests.security.by_hand import SOON, Watched
from tests.service import Service
from tests.training.datasets.test_images import chunk, made
from training.datasets.array_file import NotArrays, mapped
from training.datasets.images import BadImage, decoded

MOST = 20 << 20
HUGE = zlib.compress(b"\0" * (50 << 20), 9)
"""50 MiB of pixels in 50 KB."""

IMAGES = {
    "a huge image": made(7_000, 7_000, HUGE),
    "a size that lies": made(2**31 - 1, 2**31 - 1, b""),
    "pixels without end": made(8, 8, HUGE),
    "text without end": made(8, 8, zlib.compress(b"\0" * 72), chunk(b"zTXt", b"a\0\0" + HUGE)),
    "a profile without end": made(8, 8, b"", chunk(b"iCCP", b"a\0\0" + HUGE)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_takes_no_more_memory_than_the_model_asks_for(name: str) -> None:
    tracemalloc.start()
    try:
        found = decoded(IMAGES[name], (1, 8, 8), 16.0)
        assert found.size == 64
    except BadImage:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < MOST


def test_odd_images_are_refused_soon_over_http(service: Service, digits: Document) -> None:
    path = f"/v1/jobs/{digits['id']}/predict"
    black = made(8, 8, zlib.compress(b"\0" * 72))
    (seen,) = service.http.post(path, json={"inputs": [black]}).json()["predictions"]
    (zeros,) = service.http.post(path, json={"inputs": [[0.0] * 64]}).json()["predictions"]
    assert seen == zeros
    for image in (IMAGES["a huge image"], IMAGES["a size that lies"], "x", black[:50]):
        with Watched(service) as watched:
            answer = service.http.post(path, json={"inputs": [black, image]})
        assert mistakes(answer, "invalid_request").keys() == {"/inputs/1"}
        assert answer.elapsed.total_seconds() < SOON
        assert watched.grown < MOST


def lying(header: object, body: bytes = b"\0" * 64) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(shape: list[int], end: int, dtype: str = "F64") -> dict[str, object]:
    return {"numeric": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (10**6).to_bytes(8, "little") + b"{}",
        lying("nothing"),
        lying({"numeric": 1}),
        lying(entry([10**12, 10**6], 64)),
        lying(entry([-1, 8], 64)),
        lying(entry([-1, -8], 64)),
        lying(entry([2], 64)),
        lying(entry([2**40], 2**43)),
        lying(entry([8], 64, "O")),
        lying({"numeric": {"dtype": "F64", "shape": [8], "data_offsets": [-64, 0]}}),
        lying({"numeric": {"dtype": "F64", "shape": ["8"], "data_offsets": [0, 64]}}),
    ],
)
def test_a_file_of_arrays_that_lies_is_refused_before_anything_is_allocated(
    content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "arrays"
    file.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(NotArrays):
        mapped(file)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20
