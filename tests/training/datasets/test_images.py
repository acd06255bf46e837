"""Images as base64 PNG: what a person sees is what the model is given."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.datasets.images import BadImage, decoded

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)


def png(image: Any, **options: Any) -> str:
    """An image as a client sends it."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return base64.b64encode(file.getvalue()).decode()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A piece of a PNG file, with its checksum."""
    sum_ = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + sum_


def made(width: int, height: int, content: bytes, *more: bytes) -> str:
    """A grey PNG that says it has this size, whatever is in it."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join((*more, chunk(b"IDAT", content), chunk(b"IEND", b"")))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + body).decode()


def test_grey_pixels_become_values_up_to_the_largest() -> None:
    found = decoded(png(Image.fromarray(PIXELS)), (1, 8, 8), 16.0)
    assert found.shape == (1, 8, 8)
    np.testing.assert_allclose(found[0], PIXELS / 255 * 16)


def test_every_kind_of_png_becomes_grey() -> None:
    grey = Image.fromarray(PIXELS)
    wide = Image.fromarray(PIXELS.astype(np.uint16) * 257)
    clear = Image.new("LA", (8, 8), (255, 0))  # white that is not there, on black
    for image in (grey.convert("RGB"), grey.convert("RGBA"), grey.convert("P"), wide):
        found = decoded(png(image), (1, 8, 8), 255.0)
        np.testing.assert_allclose(found[0], PIXELS, atol=1)
    assert (decoded(png(clear), (1, 8, 8), 255.0) == 0).all()


def test_colours_are_kept_where_the_model_has_channels() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    found = decoded(png(Image.fromarray(colours)), (3, 4, 5), 1.0)
    np.testing.assert_allclose(found, colours.transpose(2, 0, 1) / 255)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must be a PNG image in base64, or a row of numbers"),
        ("not base64!", "must be a PNG image in base64, or a row of numbers"),
        (base64.b64encode(b"GIF89a" + b"x" * 50).decode(), "must be a PNG image in base64"),
        ("A" * 2_000_001, "an image may have 2000000 characters, and this has 2000001"),
        (png(Image.new("L", (8, 9))), "the image is 8×9 pixels, but the model takes 8×8"),
        (made(8, 8, b"nonsense"), "the image is damaged"),
        (png(Image.fromarray(PIXELS))[:60], "the image is damaged"),
    ],
    ids=["nothing", "text", "gif", "long", "size", "no pixels", "torn"],
)
def test_what_is_no_image_of_the_right_size_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadImage) as refused:
        decoded(text, (1, 8, 8), 16.0)
    assert str(refused.value).startswith(sentence)
