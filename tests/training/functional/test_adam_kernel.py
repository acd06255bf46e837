"""The kernels of our own: what torch's Adam gives for a row is what the formula says."""

import pytest
import torch
from torch import Tensor

from training.functional.adam_kernel import ADAM, adam_by_parts, adam_into, root

Row = tuple[list[Tensor], list[Tensor]]


def drawn(jobs: int, width: int) -> Row:
    """Parameters, gradients, both moments [K, R] and each job's numbers [K, 1]; some of the
    gradients are zero from the first iteration on."""
    random = torch.Generator().manual_seed(jobs * 1000 + width)
    p, g, m = (torch.randn(jobs, width, generator=random) for _ in range(3))
    v = torch.rand(jobs, width, generator=random) * 1e-3
    for tensor in (g, m, v):
        tensor[:, ::5] = 0.0
    numbers = (
        torch.rand(4, jobs, 1, generator=random)
        * torch.tensor([1e-2, 0.2, 1e-2, 1e-7])[:, None, None]
    )
    return [p, g, m, v], list(numbers)


@pytest.mark.parametrize(("jobs", "width"), [(1, 64), (3, 64), (17, 5760)])
def test_adam_in_one_pass_is_adam_by_parts(jobs: int, width: int) -> None:
    given, numbers = drawn(jobs, width)
    for once, by_parts in zip(ADAM(*given, *numbers), adam_by_parts(*given, *numbers), strict=True):
        torch.testing.assert_close(once, by_parts, rtol=1e-6, atol=1e-6)


def test_a_jobs_bits_in_adam_are_its_own() -> None:
    given, numbers = drawn(9, 128)
    given[1][4] = torch.nan
    together = ADAM(*given, *numbers)
    for k in range(9):
        alone = ADAM(*[t[k] for t in given], *[number[k, 0] for number in numbers])
        assert all(
            torch.equal(x[k].nan_to_num(7), y.nan_to_num(7))
            for x, y in zip(together, alone, strict=True)
        )


def test_adam_may_write_over_what_it_reads() -> None:
    given, numbers = drawn(3, 64)
    wanted = ADAM(*given, *numbers)
    p, _, m, v = given
    elsewhere = torch.empty_like(m)
    adam_into(given, numbers, [p, elsewhere, v])()
    assert all(torch.equal(x, y) for x, y in zip((p, elsewhere, v), wanted, strict=True))
    assert not torch.equal(m, elsewhere)


def test_the_root_is_that_of_ieee_but_for_the_last_place() -> None:
    x = torch.logspace(-37, 38, 20_000)
    exact = x.double().sqrt()
    assert ((root(x).double() - exact).abs() <= 1.5 * 2.0**-23 * exact).all()
    special = torch.tensor([0.0, torch.inf, torch.nan, -1.0])
    assert torch.equal(root(special).nan_to_num(7), special.sqrt().nan_to_num(7))
