"""Images as base64 PNG, for models that take images. Pillow is imported with the first one."""

import base64
import binascii
import io
import struct
import warnings

import numpy as np
from numpy.typing import NDArray

from training.catalog import Shape

MAX_IMAGE_CHARACTERS = 2_000_000
"""Characters of one image."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MODES = {1: "L", 3: "RGB"}


class BadImage(ValueError):
    """What came is no image that the model takes."""


def decoded(text: str, shape: Shape, largest: float) -> NDArray[np.float64]:
    """[C, H, W] with values from 0 to ``largest``; raises ``BadImage``.

    The size that the file declares is compared before anything is decoded, so that a small file
    cannot grow without end.
    """
    if len(text) > MAX_IMAGE_CHARACTERS:
        raise BadImage(
            f"an image may have {MAX_IMAGE_CHARACTERS} characters, and this has {len(text)}"
        )
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImage("must be a PNG image in base64, or a row of numbers") from error
    channels, height, width = shape
    if content[:8] != SIGNATURE or content[12:16] != b"IHDR" or len(content) < 33:
        raise BadImage("must be a PNG image in base64, or a row of numbers")
    declared = struct.unpack(">II", content[16:24])
    if declared != (width, height):
        sentence = f"the image is {declared[0]}×{declared[1]} pixels"
        raise BadImage(f"{sentence}, but the model takes {width}×{height} (width × height)")
    pixels = rendered(content, MODES[channels])
    return pixels.reshape(height, width, channels).transpose(2, 0, 1) * (largest / 255.0)


def rendered(content: bytes, mode: str) -> NDArray[np.float64]:
    """The pixels as 0 … 255; transparency is laid on black."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd but readable is read
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                image.load()
                if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
                    solid = image.convert("RGBA")
                    ground = Image.new("RGBA", solid.size, "black")
                    return np.asarray(Image.alpha_composite(ground, solid).convert(mode), float)
                if image.mode.startswith("I"):  # 16 bits a pixel
                    grey = np.asarray(image, float) / 257.0
                    return grey if mode == "L" else np.stack([grey] * 3, axis=2)
                return np.asarray(image.convert(mode), float)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error) as error:
        raise BadImage("the image is damaged") from error
