"""The engine's tests run as the engine does: one thread, deterministic kernels."""

from collections.abc import Iterator

import pytest
import torch

from training.tensors import numerics


@pytest.fixture(scope="module", autouse=True)
def configured() -> Iterator[None]:
    numerics.configure()
    yield
    # Hypothesis refuses floats where denormals are flushed. Module by module: a folder that is no
    # package has no end before the session's.
    torch.set_flush_denormal(False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "gpu" in item.keywords and not torch.cuda.is_available():
        pytest.skip("there is no CUDA here")
