"""The engine's tests run as the engine does: one thread, deterministic kernels."""

from collections.abc import Iterator

import pytest
import torch

from training import numerics


@pytest.fixture(scope="package", autouse=True)
def configured() -> Iterator[None]:
    numerics.configure()
    yield
    # It would outlive these tests, and hypothesis refuses floats where denormals are flushed.
    torch.set_flush_denormal(False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "gpu" in item.keywords and not torch.cuda.is_available():
        pytest.skip("there is no CUDA here")
