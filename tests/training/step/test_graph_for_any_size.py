"""A graph for any number of jobs computes what a trace with that number does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from training.step.graph_for_any_size import Unlike, for_any

SHOWN = (2, 3, 5)


def generalized(function: Callable[[Tensor], Tensor]) -> GraphModule:
    """Of traces with a few numbers of rows."""
    traces = {k: make_fx(function)(torch.zeros(k, 4)).graph for k in SHOWN}
    return GraphModule({}, for_any(traces))


@pytest.mark.parametrize("jobs", [1, 2, 4, 7, 64])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flatten() * 2.0,
        lambda x: x.new_zeros(len(x), 3) + x[:, :1].expand(len(x), 3),
        lambda x: torch.cat([x, x.new_ones(3 * len(x) + 2, 4)]),
        lambda x: x.view(2 * len(x), 2).split([len(x), len(x)])[1],
        lambda x: x.sum(0),
    ],
)
def test_it_computes_what_a_trace_would(function: Callable[[Tensor], Tensor], jobs: int) -> None:
    x = torch.randn(jobs, 4, generator=torch.manual_seed(jobs))
    assert torch.equal(generalized(function)(x), function(x))


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x * (1.0 / len(x)), "no sizes"),
        (lambda x: x.new_zeros(len(x) ** 2), "not on a line"),
        (lambda x: x.new_zeros((len(x) + 1) // 2), "not on a line"),
        (lambda x: x.sin() if len(x) > 2 else x.cos(), "in another"),
        (lambda x: x.sin().cos() if len(x) > 2 else x.sin(), "length"),
    ],
)
def test_what_is_not_one_graph_is_refused(function: Callable[[Tensor], Tensor], why: str) -> None:
    with pytest.raises(Unlike, match=why):
        generalized(function)
