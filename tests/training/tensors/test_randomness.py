"""Counted randomness: every draw a function of its purpose alone."""

import math
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from training.catalog import INITS, LAYERS, Parameter
from training.catalog.inits import Constant, KaimingNormal, Normal, Orthogonal, Uniform
from training.tensors import randomness
from training.tensors.randomness import (
    MAX_BLOCK_COUNT,
    MAX_FEW_ROWS,
    BatchStream,
    dropout_mask,
    initial,
    normal,
    permutation,
    permutations,
    uniform,
    words,
    words_of_each,
)

# Known answers. They must never change: a stored job is replayed from them.
WORDS = ["0xdc665faed7ead0da", "0xf7aff2a8fa97d9ee", "0x65ed2f982f837cfb"]
COUNTED = ["0x6ca85fe9e935748c", "0xb0c2b3e31beb5e88"]
UNIFORM = [0.7137514052443902, 0.5631965543816371, 0.49294554641491795]
NORMAL = [-1.5801510464263067, 0.9269133462095884, 0.07008521263961086]
ORDER = [4, 1, 6, 0, 2, 3, 5, 7]
NEXT_ORDER = [3, 7, 1, 6, 2, 0, 5, 4]
MASK = [[1, 0, 1, 1, 1], [0, 0, 1, 1, 0]]


def test_words_are_what_they_always_were() -> None:
    assert [hex(int(word)) for word in words(3, "a")] == WORDS
    assert [hex(int(word)) for word in words(2, 0, "order", counter=5)] == COUNTED


def test_uniform_numbers_are_what_they_always_were() -> None:
    assert uniform(3, 7, "init", "0.weight").tolist() == UNIFORM


def test_orders_are_what_they_always_were() -> None:
    assert permutation(8, 0, "order").tolist() == ORDER
    assert permutation(8, 0, "order", counter=1).tolist() == NEXT_ORDER


def test_masks_are_what_they_always_were() -> None:
    assert (dropout_mask(0.25, (2, 5), 0, "3", 7) > 0).astype(int).tolist() == MASK


# Independence.


def test_another_purpose_is_another_stream() -> None:
    purposes: list[tuple[Any, ...]] = [
        (0, "init", "0.weight"),
        (1, "init", "0.weight"),
        (0, "init", "0.bias"),
        (0, "order"),
        (0, "split"),
        (0, "noise", "0"),
        ("0", "order"),  # the seed 0 is not the name "0"
        (0, "noise", "0,1"),
        (0, "noise", "0", "1"),
    ]
    drawn = np.concatenate([words(500, *purpose) for purpose in purposes])
    assert len(set(drawn.tolist())) == 500 * len(purposes)


def test_streams_of_different_counters_never_overlap() -> None:
    drawn = np.concatenate([words(5000, 0, "noise", "drop", counter=n) for n in range(20)])
    assert len(set(drawn.tolist())) == 20 * 5000


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**63))
def test_a_longer_draw_begins_with_the_shorter_one(count: int, more: int, counter: int) -> None:
    long = words(count + more, "x", counter=counter)
    assert (long[:count] == words(count, "x", counter=counter)).all()


# Distributions.


def test_uniform_numbers_are_uniform() -> None:
    drawn = uniform(100_000, "uniformity")
    assert 0 <= drawn.min() < drawn.max() < 1
    counts, _ = np.histogram(drawn, bins=100, range=(0, 1))
    # χ² with 99 degrees of freedom is below 160 in all but one case of ten thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 160
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01


@given(st.integers(1, 300), st.integers(0, 2**63 - 1), st.integers(0, 10**9))
def test_a_permutation_has_every_row_once(n: int, seed: int, counter: int) -> None:
    order = permutation(n, seed, "order", counter=counter)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_every_order_of_three_is_equally_likely() -> None:
    orders = [tuple(permutation(3, 0, "order", counter=n).tolist()) for n in range(6000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert min(counts) > 880
    assert max(counts) < 1120


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_a_dropout_mask_zeroes_its_share_and_scales_the_rest(p: float) -> None:
    mask = dropout_mask(p, (300, 333), 0, "drop", 1)
    assert mask.shape == (300, 333)
    assert set(np.unique(mask)) <= {0.0, 1.0 / (1.0 - p)}
    assert abs((mask == 0).mean() - p) < 0.005
    assert abs(mask.mean() - 1) < 0.02


def test_a_dropout_mask_depends_on_seed_layer_and_iteration() -> None:
    base = dropout_mask(0.5, (8, 8), 0, "drop", 1)
    for other in ((1, "drop", 1), (0, "drop2", 1), (0, "drop", 2)):
        assert (dropout_mask(0.5, (8, 8), *other) != base).any()
    assert (dropout_mask(0.5, (8, 8), 0, "drop", 1) == base).all()


# Initial weights.


@pytest.mark.parametrize(
    ("word", "shape", "twin"),
    [
        ({"type": "linear", "out_features": 50}, (40,), nn.Linear(40, 50)),
        (
            {"type": "conv2d", "out_channels": 30, "kernel_size": (3, 2), "groups": 2},
            (8, 9, 9),
            nn.Conv2d(8, 30, (3, 2), groups=2),
        ),
    ],
    ids=["linear", "conv2d"],
)
def test_initial_weights_are_drawn_as_torch_draws_them(
    word: dict[str, Any], shape: tuple[int, ...], twin: nn.Module
) -> None:
    owned = LAYERS[word["type"]].model_validate(word).parameters(shape)
    bound = 1 / math.sqrt(math.prod(owned["weight"].shape[1:]))
    for name, tensor in twin.named_parameters():
        drawn = initial(owned[name], 0, f"0.{name}")
        assert drawn.shape == tuple(tensor.shape)
        assert 0.9 * bound < np.abs(drawn).max() <= bound  # torch's reset_parameters
        assert tensor.abs().max().item() <= bound + 1e-7
        assert abs(drawn.std() - bound / math.sqrt(3)) < 0.15 * bound


def test_kaiming_uniform_is_torchs_for_its_slope() -> None:
    word = {
        "type": "linear",
        "out_features": 300,
        "init": {"type": "kaiming_uniform", "a": 0.5},
    }
    parameter = LAYERS["linear"].model_validate(word).parameters((200,))["weight"]
    bound = math.sqrt(6 / ((1 + 0.5**2) * 200))
    assert parameter.init == Uniform(a=-bound, b=bound)
    theirs = nn.init.kaiming_uniform_(nn.Linear(200, 300).weight.detach(), a=0.5)
    assert 0.99 * bound < theirs.abs().max().item() <= bound * (1 + 1e-6)


def test_initial_weights_depend_on_seed_and_name_only() -> None:
    small, large = (Parameter((n,), Uniform(a=-1.0, b=1.0)) for n in (4, 9))
    base = initial(small, 3, "hidden.weight")
    assert (initial(large, 3, "hidden.weight")[:4] == base).all()
    assert (initial(small, 4, "hidden.weight") != base).all()
    assert (initial(small, 3, "hidden.bias") != base).all()


def test_a_constant_start_draws_nothing() -> None:
    assert (initial(Parameter((2, 2), Constant(value=1.5)), 0, "w") == 1.5).all()


# The order of the data.


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 40), st.integers(1, 5))
def test_batches_are_cut_from_the_endless_concatenation_of_the_epochs(
    rows: int, batch_size: int, first: int, count: int
) -> None:
    got = BatchStream(rows, batch_size, 5).indices(first, count)
    assert got.shape == (count, batch_size)
    epochs = -(-(first + count) * batch_size // rows)
    endless = np.concatenate([permutation(rows, 5, "order", counter=e) for e in range(epochs)])
    assert (got.reshape(-1) == endless[first * batch_size : (first + count) * batch_size]).all()


def one_by_one(rows: int, seed: int, start: int) -> Iterator[int]:
    """The endless concatenation from position ``start`` on: an epoch, a permutation."""
    epoch, offset = divmod(start, rows)
    while True:
        yield from permutation(rows, seed, "order", counter=epoch)[offset:].tolist()
        epoch, offset = epoch + 1, 0


ROWS = (1, 2, 3, 4, 5, 7, 8, 31, MAX_FEW_ROWS - 1, MAX_FEW_ROWS, MAX_FEW_ROWS + 1, 700)
BATCHES = (1, 2, 3, 64, 500, 5000)
STARTS_AT = (0, 1, 17, 10**5, 2**40)


@pytest.mark.parametrize("rows", ROWS)
def test_batches_of_few_rows_are_those_of_their_epochs_one_by_one(rows: int) -> None:
    for batch_size, first, seed in product(BATCHES, STARTS_AT, (0, 2**63 - 1)):
        got = BatchStream(rows, batch_size, seed).indices(first, 2)
        expected = islice(one_by_one(rows, seed, first * batch_size), 2 * batch_size)
        assert got.shape == (2, batch_size)
        assert got.reshape(-1).tolist() == list(expected), (batch_size, first, seed)


@pytest.mark.parametrize("rows", [2, 3, 5, MAX_FEW_ROWS])
def test_a_batch_that_is_drawn_in_several_parts_has_no_seam(rows: int) -> None:
    batch_size = 5 * MAX_BLOCK_COUNT + 1
    got = BatchStream(rows, batch_size, 3).indices(7, 1)
    expected = islice(one_by_one(rows, 3, 7 * batch_size), batch_size)
    assert got.reshape(-1).tolist() == list(expected)


@given(st.integers(1, 200), st.integers(0, 2**63 - 40), st.integers(0, 40), st.integers(0, 2**63))
def test_the_words_of_many_counters_are_those_of_each(
    count: int, first: int, counters: int, seed: int
) -> None:
    some = range(first, first + counters)
    got = words_of_each(count, seed, "order", counters=some)
    assert got.shape == (counters, count)
    for row, counter in zip(got, some, strict=True):
        assert (row == words(count, seed, "order", counter=counter)).all()


def test_the_orders_of_many_epochs_are_those_of_each() -> None:
    got = permutations(9, 4, "order", counters=range(50, 90))
    assert got.tolist() == [permutation(9, 4, "order", counter=n).tolist() for n in range(50, 90)]


@pytest.mark.parametrize("rows", [1, 2, 3, 20, MAX_FEW_ROWS])
def test_a_batch_of_a_million_costs_no_generator_an_epoch(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted are the calls; the time of one is that of the machine."""
    calls = list[int]()

    def counted(n: int, *purpose: int | str, counters: range) -> Any:
        calls.append(len(counters))
        return permutations(n, *purpose, counters=counters)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an epoch is drawn by itself")

    monkeypatch.setattr(randomness, "permutations", counted)
    monkeypatch.setattr(randomness, "permutation", never)
    assert BatchStream(rows, 10**6, 0).indices(0, 1).shape == (1, 10**6)
    assert len(calls) <= 200
    assert sum(calls) <= 10**6 // rows + 1


def test_drawing_tells_that_it_moves() -> None:
    told = list[None]()
    BatchStream(2, 10**6, 0, lambda: told.append(None)).indices(0, 1)
    assert len(told) > 10
    told.clear()
    BatchStream(1000, 5000, 0, lambda: told.append(None)).indices(0, 1)
    assert len(told) == 5


def test_a_stream_may_be_asked_in_any_order() -> None:
    stream = BatchStream(10, 4, 0)
    asked = [stream.indices(n, 1).tolist() for n in (40, 3, 17, 0, 40, 3)]
    assert asked == [BatchStream(10, 4, 0).indices(n, 1).tolist() for n in (40, 3, 17, 0, 40, 3)]


def test_normal_numbers_are_what_they_always_were() -> None:
    assert normal(3, 7, "init", "0.weight").tolist() == pytest.approx(NORMAL, rel=1e-12)


@pytest.mark.parametrize("count", [99_999, 100_000])
def test_normal_numbers_are_normal(count: int) -> None:
    drawn = normal(count, "normality")
    assert len(drawn) == count
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn[: count // 2], drawn[-(count // 2) :])[0, 1]) < 0.02


STARTS: dict[str, tuple[Any, Any]] = {
    "uniform": ({"a": -0.3, "b": 0.7}, lambda w: nn.init.uniform_(w, -0.3, 0.7)),
    "normal": ({"mean": 0.5, "std": 2.0}, lambda w: nn.init.normal_(w, 0.5, 2.0)),
    "zeros": ({}, nn.init.zeros_),
    "ones": ({}, nn.init.ones_),
    "constant": ({"value": -1.5}, lambda w: nn.init.constant_(w, -1.5)),
    "xavier_uniform": ({"gain": 1.7}, lambda w: nn.init.xavier_uniform_(w, 1.7)),
    "xavier_normal": ({"gain": 0.4}, lambda w: nn.init.xavier_normal_(w, 0.4)),
    "kaiming_uniform": (
        {"a": 0.5, "mode": "fan_out"},
        lambda w: nn.init.kaiming_uniform_(w, 0.5, "fan_out"),
    ),
    "kaiming_normal": (
        {"nonlinearity": "relu"},
        lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    ),
    "orthogonal": ({"gain": 3.0}, lambda w: nn.init.orthogonal_(w, 3.0)),
}


def test_every_start_of_the_catalogue_has_a_twin() -> None:
    assert set(STARTS) == set(INITS)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ({"type": "linear", "out_features": 80}, (50,)),
        ({"type": "conv1d", "out_channels": 40, "kernel_size": 5}, (20, 9)),
        ({"type": "conv2d", "out_channels": 40, "kernel_size": (3, 2), "groups": 2}, (20, 9, 9)),
        ({"type": "embedding", "num_embeddings": 70, "embedding_dim": 60}, (3,)),
    ],
    ids=["linear", "conv1d", "conv2d", "embedding"],
)
def test_a_start_is_distributed_as_torchs(
    word: dict[str, Any], shape: tuple[int, ...], name: str
) -> None:
    arguments, fill = STARTS[name]
    layer = LAYERS[word["type"]].model_validate({**word, "init": {"type": name, **arguments}})
    parameter = layer.parameters(shape)["weight"]
    ours = initial(parameter, 0, "w")
    torch.manual_seed(0)
    theirs = fill(torch.empty(parameter.shape, dtype=torch.float64)).numpy()
    assert ours.shape == theirs.shape
    if theirs.std() == 0:
        assert (ours == theirs).all()
    else:
        assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
        assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


@pytest.mark.parametrize(
    "nonlinearity",
    ["linear", "conv1d", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"],
)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
def test_kaimings_gain_is_torchs(mode: Any, nonlinearity: Any) -> None:
    word = KaimingNormal(a=0.3, mode=mode, nonlinearity=nonlinearity)
    gain = nn.init.calculate_gain(nonlinearity, 0.3 if nonlinearity == "leaky_relu" else None)
    fan = {"fan_in": 4 * 6, "fan_out": 5 * 6}[mode]
    drawn = word.drawn((5, 4, 3, 2))
    assert isinstance(drawn, Normal)
    assert drawn.std == pytest.approx(gain / math.sqrt(fan), rel=1e-14)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 3)])
def test_an_orthogonal_start_has_rows_or_columns_at_right_angles(shape: tuple[int, ...]) -> None:
    drawn = initial(Parameter(shape, Orthogonal(gain=2.0)), 0, "w").reshape(shape[0], -1)
    short = drawn if drawn.shape[0] <= drawn.shape[1] else drawn.T
    np.testing.assert_allclose(short @ short.T, 4 * np.eye(len(short)), atol=1e-12)
