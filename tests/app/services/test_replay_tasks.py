"""Addresses of parameters and their elements."""

import pytest

from app.errors import Invalid
from app.services.replay_tasks import addresses
from tests.specifications import DIGITS_CNN
from training.validation.check import check

PLAN = check(
    {
        **DIGITS_CNN,
        "model": [
            {**layer, "name": f"layer_{n}"} for n, layer in enumerate(DIGITS_CNN["model"]["layers"])
        ],
    }
)


def test_nothing_asks_for_a_summary() -> None:
    assert addresses(PLAN, None) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("layer_1.bias", [["layer_1.bias", "layer_1.bias", []]]),
        ("layer_1.bias[11]", [["layer_1.bias[11]", "layer_1.bias", [11]]]),
        (
            "layer_0.weight[11,0,2,2]",
            [["layer_0.weight[11,0,2,2]", "layer_0.weight", [11, 0, 2, 2]]],
        ),
        (
            "layer_1.bias,layer_0.weight[0,0,0,0],layer_1.weight",
            [
                ["layer_1.bias", "layer_1.bias", []],
                ["layer_0.weight[0,0,0,0]", "layer_0.weight", [0, 0, 0, 0]],
                ["layer_1.weight", "layer_1.weight", []],
            ],
        ),
    ],
)
def test_an_address_is_a_name_and_perhaps_an_index(text: str, found: list[object]) -> None:
    assert addresses(PLAN, text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "layer_1.bias,,layer_1.bias", " layer_1.bias", "layer_1.bias[]"),
        *("layer_1.bias[12]", "layer_0.weight[0]", "layer_0.weight[0,0,0,0,0]", "nope"),
        *("layer_1.bias[0][0]", "layer_1.bias[0", "layer_1.bias]", "layer_1.bias\n", "\0"),
        *("layer_1.running_mean", f"layer_1.bias[{'1' * 10}]", f"layer_1.bias[{'1' * 9999}]"),
    ],
)
def test_what_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        addresses(PLAN, text)
    assert refused.value.own_code == "unknown_parameter"
    assert [mistake.pointer for mistake in refused.value.errors] == ["/parameters"]
