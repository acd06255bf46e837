"""Named tensors and JSON facts in one file: safetensors, the facts in its metadata.

Never pickle.
"""

import hashlib
import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

Tensors = dict[str, Tensor]

SEAL_CHARACTERS = 64
"""Characters of a SHA-256 in hexadecimal, which stands before the facts."""


class UnreadableFile(ValueError):
    """The bytes are not a file of ours, or of another format than expected."""


def pack(tensors: Tensors, facts: dict[str, Any]) -> bytes:
    """The file's content: equal bytes for equal tensors and facts.

    Tensors are copied, because safetensors refuses two that share memory. There is one entry of
    metadata, because safetensors writes several in random order.
    """
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    return save(copies, {"fallline": digest(copies, text) + text})


def unpack(content: bytes, *, expected: str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors (on the CPU) and facts of a file whose facts say the ``expected`` format."""
    try:
        tensors = load(content)
        # The layout is the format's own: a little-endian length, then that much JSON.
        end = 8 + int.from_bytes(content[:8], "little")
        entry = json.loads(content[8:end])["__metadata__"]["fallline"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise UnreadableFile("not a file of this service") from error
    seal, text = entry[:SEAL_CHARACTERS], entry[SEAL_CHARACTERS:]
    if digest(tensors, text) != seal:
        raise UnreadableFile("its content has changed since it was written")
    facts = json.loads(text)
    if facts.get("format") != expected:
        raise UnreadableFile(f"format {facts.get('format')!r}, expected {expected!r}")
    return tensors, facts


def digest(tensors: Tensors, facts: str) -> str:
    """SHA-256 of all that the file says; what has it is what ``pack`` was given."""
    seen = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        seen.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        seen.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors, each name with ``prefix.`` in front."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
