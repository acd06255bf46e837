"""Checkpoints and the file they are kept in."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.training.small_jobs import FLOAT32, OPTIMIZERS, bits, cnn, ready, stepped
from training.engine import checkpoint, predict
from training.engine.blocks import Checkpoint
from training.tensors.tensor_file import UnreadableFile, pack, unpack

Decode = Callable[[bytes], Any]


def kept(optimizer: str = "adam") -> Checkpoint:
    """A checkpoint with all that one can hold."""
    rules = {"early_stopping": {"patience": 9}, "convergence": {"tolerance": 1e-9, "window": 4}}
    job = ready(cnn(iterations=6, evaluate_every=2, optimizer=OPTIMIZERS[optimizer], **rules))
    return stepped(job).checkpoints[4]


def model() -> bytes:
    """A small model's file."""
    job = ready(cnn(iterations=1))
    return predict.encode(job.plan, job.data.preparation, stepped(job).outcome.weights)


def decode_checkpoint(content: bytes) -> Checkpoint:
    return checkpoint.decode(content, FLOAT32)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_checkpoint_comes_back_as_it_was(optimizer: str) -> None:
    before = kept(optimizer)
    assert before.best is not None
    assert len(before.counters.tail) == 5
    after = decode_checkpoint(checkpoint.encode(before))
    assert after.iteration == before.iteration == 5
    assert after.counters == before.counters
    assert after.best is not None
    for mine, yours in [
        ({"parameters": before.state.parameters}, {"parameters": after.state.parameters}),
        ({"parameters": before.best.parameters}, {"parameters": after.best.parameters}),
        (before.state.buffers, after.state.buffers),
        (before.state.slots, after.state.slots),
        (before.best.buffers, after.best.buffers),
    ]:
        assert {n: bits(t) for n, t in mine.items()} == {n: bits(t) for n, t in yours.items()}
        assert {n: t.dtype for n, t in mine.items()} == {n: t.dtype for n, t in yours.items()}


def test_a_checkpoint_of_lost_weights_comes_back_too() -> None:
    before = kept()
    lost = before.state._replace(parameters=before.state.parameters * float("nan"))
    before = dataclasses.replace(before, state=lost, best=None)
    after = decode_checkpoint(checkpoint.encode(before))
    assert bits(after.state.parameters) == bits(lost.parameters)
    assert after.best is None


def test_a_file_cut_off_anywhere_is_unreadable() -> None:
    for content, decode in files():
        for end in [*range(0, len(content), 13), len(content) - 1]:
            with pytest.raises(UnreadableFile):
                decode(content[:end])
        with pytest.raises(UnreadableFile):
            decode(content + b"\0")


def test_a_file_changed_anywhere_is_unreadable_or_says_the_same() -> None:
    for content, decode in files():
        whole = content_of(decode(content))
        for i in range(0, len(content), 3):
            changed = bytearray(content)
            changed[i] ^= 0x20 if i % 2 else 0x01
            try:
                read = decode(bytes(changed))
            except UnreadableFile:
                continue
            assert content_of(read) == whole  # as when a space of the header became a tab


def files() -> list[tuple[bytes, Decode]]:
    """One of each format."""
    return [(checkpoint.encode(kept()), decode_checkpoint), (model(), predict.Predictor)]


def content_of(read: Checkpoint | predict.Predictor) -> bytes:
    """What a file said."""
    if isinstance(read, predict.Predictor):
        tensors = b"".join(bits(tensor) for _, tensor in sorted(read.tensors.items()))
        return tensors + repr((read.input_shape, read.labels)).encode()
    return checkpoint.encode(read)


def test_a_file_of_another_format_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="format 'fallline model 1'"):
        decode_checkpoint(model())
    with pytest.raises(UnreadableFile, match="format 'fallline checkpoint 1'"):
        predict.Predictor(checkpoint.encode(kept()))
    future = pack({"x": torch.zeros(1)}, {"format": "fallline checkpoint 2"})
    with pytest.raises(UnreadableFile, match="fallline checkpoint 2"):
        decode_checkpoint(future)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\x80\x04\x95", b"PK\x03\x04" + b"\0" * 99, b"\xff" * 64]
)
def test_what_is_no_file_of_ours_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableFile, match="not a file of this service"):
        unpack(content, expected="fallline model 1")


def test_tensors_that_share_memory_are_kept_apart() -> None:
    both = torch.arange(6.0)
    tensors, facts = unpack(
        pack({"all": both, "half": both[:3], "scalar": torch.tensor(7)}, {"format": "f", "n": 1}),
        expected="f",
    )
    assert tensors["all"].tolist() == [0, 1, 2, 3, 4, 5]
    assert tensors["half"].tolist() == [0, 1, 2]
    assert tensors["scalar"].shape == ()
    assert facts == {"format": "f", "n": 1}
