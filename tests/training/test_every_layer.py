"""What holds for every layer of the catalogue, and every start: resumed equals uninterrupted, a
trace equals the step, the gradient is the slope."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.specifications import Specification
from tests.training.small_jobs import (
    FLOAT32,
    FLOAT64,
    cnn,
    course,
    images,
    ready,
    regression,
    stepped,
)
from training.catalog import INITS, LAYERS
from training.engine import checkpoint
from training.engine.loop import group_of

OUT = {"type": "linear", "out_features": 3}


def block(*layers: Any) -> dict[str, Any]:
    return {"type": "residual", "layers": list(layers)}


JOBS: dict[str, Specification] = {
    "cnn": cnn(),
    "images": cnn(
        model=[
            {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "init": "kaiming_normal"},
            block(
                {"type": "conv2d", "out_channels": 6, "kernel_size": 3, "padding": 1, "stride": 2},
                "batch_norm2d",
                block({"type": "dropout", "p": 0.3, "name": "drop"}, "silu"),
                {"type": "group_norm", "num_groups": 3},
            ),
            {"type": "gelu", "approximate": "tanh"},
            {"type": "avg_pool2d", "kernel_size": 2, "stride": 1, "padding": 1},
            {"type": "adaptive_avg_pool2d", "output_size": 2},
            "flatten",
            {**OUT, "init": {"type": "xavier_uniform", "gain": 2.0}},
        ]
    ),
    "series": cnn(
        dataset={"x": images(48, 2, 12), "y": [i % 3 for i in range(48)]},
        model=[
            {
                "type": "conv1d",
                "out_channels": 5,
                "kernel_size": 3,
                "init": {"type": "orthogonal", "gain": 1.5},
            },
            {"type": "leaky_relu", "negative_slope": 0.2},
            block(
                {"type": "conv1d", "out_channels": 5, "kernel_size": 3, "padding": "same"},
                "batch_norm1d",
                {"type": "elu", "alpha": 0.7},
            ),
            {"type": "max_pool1d", "kernel_size": 3, "stride": 2, "padding": 1},
            {"type": "layer_norm", "normalized_shape": 5},
            {"type": "softplus", "beta": 2.0},
            {**OUT, "init": "xavier_normal"},
        ],
    ),
    "words": cnn(
        dataset={
            "x": [[(3 * i + k * k) % 9 for k in range(4)] for i in range(48)],
            "y": [i % 3 for i in range(48)],
        },
        model=[
            {
                "type": "embedding",
                "num_embeddings": 9,
                "embedding_dim": 5,
                "padding_idx": 0,
                "init": {"type": "normal", "std": 0.5},
            },
            {"type": "softmax", "dim": 1},
            "log_softmax",
            "layer_norm",
            block({"type": "linear", "out_features": 8}, {"type": "dropout", "p": 0.2}),
            "gelu",
            OUT,
        ],
    ),
    "starts": regression(
        model=[
            {"type": "linear", "out_features": 8, "init": {"type": "uniform", "a": -1.0}},
            "tanh",
            {"type": "linear", "out_features": 8, "init": "ones"},
            "tanh",
            {"type": "linear", "out_features": 8, "init": {"type": "kaiming_uniform", "a": 0.1}},
            {"type": "linear", "out_features": 8, "init": {"type": "constant", "value": 0.1}},
            {"type": "linear", "out_features": 2, "init": "zeros"},
        ],
    ),
}


def words_of(layers: list[Any]) -> Iterator[Any]:
    """Every layer, also those within others."""
    for layer in layers:
        yield {"type": layer} if isinstance(layer, str) else layer
        yield from words_of(layer.get("layers", []) if isinstance(layer, dict) else [])


def test_every_word_is_reached() -> None:
    words = [word for job in JOBS.values() for word in words_of(job["model"])]
    assert {word["type"] for word in words} == set(LAYERS)
    inits = [word["init"] for word in words if "init" in word]
    assert {i if isinstance(i, str) else i["type"] for i in inits} == set(INITS)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", JOBS)
def test_a_job_goes_on_from_any_checkpoint_to_the_same_bits(name: str, precision: str) -> None:
    job = ready({**JOBS[name], "iterations": 24, "precision": precision})
    whole = stepped(job)
    for kept in whole.checkpoints[::7]:
        again = stepped(job, 60, checkpoint.decode(checkpoint.encode(kept), FLOAT32))
        assert again.losses.tobytes() == whole.losses[kept.iteration :].tobytes()
        assert again.bits()[2:] == whole.bits()[2:]
    assert len(set(whole.losses.tolist())) > 20  # it learns, so that equal bits mean something


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", JOBS)
def test_a_trace_gives_the_bits_of_the_step(name: str, precision: str) -> None:
    training = ready({**JOBS[name], "precision": precision}).training()
    group = group_of([training])
    eager = course(group, 20)
    group.trace([training.beginning()])
    assert course(group, 20) == eager


@pytest.mark.parametrize("name", JOBS)
def test_a_gradient_is_the_slope_of_the_loss(name: str) -> None:
    training = ready(JOBS[name], FLOAT64).training()
    state, _ = training.run(training.beginning().state, training.feed(0))
    inputs = training.feed(1)
    gradient, step = training.run(state, inputs)[1].gradient, 1e-6
    # The first five belong to the padding of the embedding, which is not trained.
    for i in range(5, len(gradient), 11):
        shift = torch.zeros_like(gradient)
        shift[i] = step
        above, below = (
            training.run(state._replace(parameters=state.parameters + sign * shift), inputs)[1].loss
            for sign in (1, -1)
        )
        torch.testing.assert_close(gradient[i], (above - below) / (2 * step), rtol=1e-4, atol=1e-7)
