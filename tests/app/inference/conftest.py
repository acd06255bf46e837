"""Model files, made once."""

from collections.abc import Iterator

import pytest
import torch

from tests.training.small_jobs import cnn, ready, stepped
from training.engine.predict import encode

DIGITS = {
    "dataset": "digits",
    "split": {"test": 0.2},
    "model": [
        {"type": "linear", "out_features": 16},
        "tanh",
        {"type": "linear", "out_features": 10},
    ],
    "loss": "cross_entropy",
    "optimizer": {"type": "sgd", "lr": 0.1},
    "iterations": 20,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the service predicts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def file(specification: dict[str, object]) -> bytes:
    job = ready(specification)
    ended = stepped(job, 60)
    return encode(job.plan, job.data.preparation, ended.outcome.weights)


@pytest.fixture(scope="session")
def dense() -> bytes:
    """A network whose rows leave one another alone."""
    return file(DIGITS)


@pytest.fixture(scope="session")
def convolutional() -> bytes:
    """One whose rows do not."""
    return file(cnn(iterations=3))
