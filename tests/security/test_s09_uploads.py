"""S9 and S10 for files: what would grow when it is unpacked, or declares more than it holds, is no
table, and is told so before anything of it is unpacked or allocated."""

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.app.talk import TINY, problem
from tests.app.uploads import CSV, sent
from tests.security.by_hand import SOON, Watched
from tests.service import Service
from tests.training.datasets.test_images import made

pytestmark = pytest.mark.usefixtures("nothing_is_left")

MOST = 20 << 20
TABLE = b"x,y\n" + b"1,2\n3,4\n" * (32 << 17)
"""32 MiB of a table that could be used."""


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def npy(shape: str, body: bytes = b"\0" * 64, dtype: str = "<f8") -> bytes:
    """A header of NumPy's own, and less than it says."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + body


def idx(*sizes: int) -> bytes:
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + b"\0" * 64


def safetensors(entry: Any) -> bytes:
    text = json.dumps({"x": entry}).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * 64


def parquet(rows: int) -> bytes:
    """A column of one value, which takes next to nothing."""
    to = io.BytesIO()
    pq.write_table(pa.table({"x": np.zeros(rows), "y": np.zeros(rows)}), to, compression="zstd")
    return to.getvalue()


GROWS = {
    "gzip": gzip.compress(TABLE, 1),
    "gzip in gzip": gzip.compress(gzip.compress(TABLE, 1), 1),
    "bzip2": bz2.compress(bytes(32 << 20)),
    "xz": lzma.compress(TABLE, preset=0),
    "zlib": zlib.compress(TABLE, 1),
    "zip": zipped(**{"table.csv": TABLE}),
    "a zip of zips": zipped(**{f"{n}.zip": zipped(**{"t.csv": TABLE}) for n in range(3)}),
    "a zip of paths": zipped(**{"../../canary.csv": b"x,y\n1,2\n", "/canary": b"x"}),
    "an empty zip": zipped(),
    "npz": zipped(**{"x.npy": npy("(4194304,)", bytes(32 << 20))}),
    "parquet": parquet(4_000_000),
    "png": base64.b64decode(made(5_600, 5_600, zlib.compress(bytes(32 << 20), 1))),
}
LIES = {
    "npy": npy("(1000000000000,)"),
    "npy of two axes": npy("(1000000, 1000000)"),
    "npy of objects": npy("(1,)", b"cos\nsystem\n(S'touch canary'\ntR.", "|O"),
    "npz": zipped(**{"x.npy": npy("(1000000000000,)")}),
    "idx": idx(2**32 - 1),
    "idx of images": idx(2**32 - 1, 28, 28),
    "safetensors": safetensors({"dtype": "F64", "shape": [10**12], "data_offsets": [0, 64]}),
    "safetensors' offsets": safetensors({"dtype": "F64", "shape": [8], "data_offsets": [0, 2**62]}),
    "safetensors' header": (2**62).to_bytes(8, "little") + b"{}",
    "parquet": b"PAR1" + b"\x15\x04" * 50 + (2**31 - 1).to_bytes(4, "little") + b"PAR1",
    "arrow": b"ARROW1\0\0" + b"\xff" * 4 + (2**31 - 1).to_bytes(4, "little") + b"\0" * 64,
}
FILES = {f"{name} that grows": content for name, content in GROWS.items()} | {
    f"{name} that lies": content for name, content in LIES.items()
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_table_is_refused_unopened(name: str, api: Service) -> None:
    content = FILES[name]
    files = {"file": ("t.csv", content, "text/csv")}
    with Watched(api) as watched:
        answers = [
            sent(api.http, content),
            sent(api.http, content, encoding="latin-1"),
            api.http.post("/v1/datasets", params={"target": "y"}, files=files),
        ]
    for answer in answers:
        document = problem(answer, 422, "invalid_file")
        assert document["errors"][0]["code"] in {"not_text", "nul_byte", "wrong_encoding"}
        assert answer.elapsed.total_seconds() < SOON
    assert watched.grown < MOST


@pytest.mark.parametrize(("encoding", "name"), [("gzip", "gzip"), ("deflate", "zlib")])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/validate", "/v1/keys", "/v1/datasets"])
def test_no_body_is_unpacked_whatever_it_says_of_itself(
    path: str, encoding: str, name: str, api: Service
) -> None:
    table = path == "/v1/datasets"
    headers = CSV if table else {"Content-Type": "application/json"}
    headers = {**headers, "Content-Encoding": encoding}
    with Watched(api) as watched:
        answer = api.http.post(
            path, params={"target": "y"} if table else {}, content=GROWS[name], headers=headers
        )
    assert answer.status_code == (415 if table else 422)
    assert answer.elapsed.total_seconds() < SOON
    assert watched.grown < MOST


def test_a_specification_is_not_unpacked(api: Service) -> None:
    packed = gzip.compress(json.dumps(TINY).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = api.http.post("/v1/jobs", content=packed, headers=headers)
    problem(answer, 422, "invalid_json")
