"""Precision: what a job asks for, what a device has, and what the fingerprint says of it."""

import pytest
import torch

from training.tensors.numerics import Numerics, Unavailable, has_bf16, narrows


@pytest.mark.parametrize(
    ("precision", "device", "has", "narrow"),
    [
        ("fp32", "cpu", True, False),
        ("fp32", "cuda", True, False),
        ("fp32", "cuda", False, False),
        ("bf16", "cpu", True, True),
        ("bf16", "cuda", True, True),
        ("auto", "cpu", True, False),
        ("auto", "cuda", True, True),
        ("auto", "cuda", False, False),
    ],
)
def test_auto_narrows_only_where_it_is_fast(
    precision: str, device: str, has: bool, narrow: bool
) -> None:
    assert narrows(precision, device, has_bf16=has) is narrow  # type: ignore[arg-type]


def test_a_device_without_bfloat16_says_what_to_do() -> None:
    with pytest.raises(Unavailable, match="no bfloat16; use precision fp32 or auto"):
        narrows("bf16", "cuda", has_bf16=False)


def test_a_cpu_has_bfloat16() -> None:
    assert has_bf16("cpu")
    assert Numerics.on("cpu", "bf16").layers == torch.bfloat16
    assert Numerics.on("cpu", "auto").layers is None


def test_precision_is_part_of_the_fingerprint() -> None:
    narrow, wide = Numerics.on("cpu", "bf16"), Numerics.on("cpu")
    assert narrow.fingerprint() != wide.fingerprint()
    assert Numerics.on("cpu", "auto").fingerprint() == wide.fingerprint()
