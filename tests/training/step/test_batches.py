"""What iteration n is given is a function of n alone."""

import pytest
import torch

from tests.training.small_jobs import FLOAT32, Job, bits, cnn, ready, regression
from training.step.batches import WINDOW_ITERATIONS
from training.tensors.randomness import BatchStream, dropout_mask

ITERATIONS = 2 * WINDOW_ITERATIONS + 10
ASKED = (
    0,
    1,
    2,
    WINDOW_ITERATIONS - 1,
    WINDOW_ITERATIONS,
    WINDOW_ITERATIONS + 1,
    2 * WINDOW_ITERATIONS,
    ITERATIONS - 1,
    3,
    0,
)
"""On both sides of every border between chunks, and back again."""


@pytest.fixture(scope="module")
def job() -> Job:
    return ready(cnn(iterations=ITERATIONS, seed=4))


def test_an_iteration_gets_the_rows_of_its_batch(job: Job) -> None:
    feed, train = job.training().feed, job.data.parts["train"]
    stream = BatchStream(len(train.rows), 8, 4)
    for n in ASKED:
        rows = torch.from_numpy(stream.indices(n, 1)[0])
        assert torch.equal(feed(n).x, train.x[rows])
        assert torch.equal(feed(n).y, train.y[rows])


def test_an_iteration_gets_its_own_noise(job: Job) -> None:
    feed = job.training().feed
    for n in ASKED:
        noise = feed(n).noise
        assert set(noise) == {"4", "last_drop"}
        for path, p, shape in (("4", 0.25, (8, 4, 3, 3)), ("last_drop", 0.4, (8, 8))):
            assert bits(noise[path]) == bits(FLOAT32.floats(dropout_mask(p, shape, 4, path, n)))


def test_an_iteration_gets_its_own_rate(job: Job) -> None:
    feed = job.training().feed
    for n in ASKED:
        rate = torch.tensor(job.plan.learning_rate(n), dtype=torch.float64).float()
        assert feed(n).hyper["lr"].item() == rate.item()


def test_bias_corrections_are_rounded_once() -> None:
    feed = ready(regression(optimizer="adam", iterations=ITERATIONS)).training().feed
    for n in ASKED:
        exact = 0.001 * (1 - 0.999 ** (n + 1)) ** 0.5 / (1 - 0.9 ** (n + 1))
        assert (
            feed(n).hyper["step_size"].item()
            == torch.tensor(exact, dtype=torch.float64).float().item()
        )
