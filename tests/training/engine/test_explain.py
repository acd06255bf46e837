"""The chain rule for one weight, against autograd, finite differences and the numbers by hand."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.specifications import ONE_WEIGHT, Specification
from tests.training.small_jobs import cnn, ready, regression
from training.engine.explain import Chain, Explanation

JOBS: dict[str, Specification] = {
    "mlp": regression(),
    "cnn": cnn(loss={"type": "cross_entropy", "label_smoothing": 0.2}),
}
WEIGHTS = [
    ("mlp", "0.weight", (3, 1)),
    ("mlp", "0.bias", (2,)),
    ("mlp", "2.weight", (1, 5)),
    ("cnn", "0.weight", (2, 1, 0, 2)),
    ("cnn", "norm.weight", (3,)),
    ("cnn", "5.weight", (7, 20)),
    ("cnn", "9.bias", (1,)),
]


def explained(specification: Specification, name: str, index: tuple[int, ...], example: int) -> Any:
    job = ready(specification)
    state = job.training().beginning().state
    chain = Chain(job.plan, state.parameters, state.buffers, job.data, example)
    return chain.explain(name, index)


@pytest.mark.parametrize(("job", "name", "index"), WEIGHTS)
def test_the_factors_add_up_to_the_gradient_and_a_difference_agrees(
    job: str, name: str, index: tuple[int, ...]
) -> None:
    found: Explanation = explained(JOBS[job], name, index, example=4)
    total = sum(f.loss_by_output * f.output_by_weight for f in found.factors)
    assert found.factor_count == len(found.factors) > 0
    assert total == pytest.approx(found.gradient, rel=1e-9, abs=1e-12)
    assert found.difference == pytest.approx(found.gradient, rel=1e-5, abs=1e-8)


def test_the_job_of_one_weight_is_explained_by_hand() -> None:
    found: Explanation = explained(ONE_WEIGHT, "0.weight", (0, 0), example=0)
    assert (found.weight, found.outputs, found.loss) == (2.0, [2.0], 4.0)
    assert (found.loss_by_outputs, found.gradient) == ([-4.0], -4.0)  # 2·(w·x − y)
    assert [vars(f) for f in found.factors] == [
        {"place": (0,), "loss_by_output": -4.0, "output_by_weight": 1.0}
    ]
    assert found.probabilities is None


def test_of_cross_entropy_the_gradient_of_the_logits_is_p_minus_y() -> None:
    found: Explanation = explained(cnn(loss="cross_entropy"), "9.bias", (1,), example=2)
    assert found.probabilities is not None
    label = int(ready(cnn()).data.parts["train"].y[2])
    expected = [p - (k == label) for k, p in enumerate(found.probabilities)]
    assert found.loss_by_outputs == pytest.approx(expected, abs=1e-12)
    assert found.gradient == pytest.approx(expected[1], abs=1e-12)
    assert found.loss == pytest.approx(-torch.tensor(found.probabilities[label]).log().item())


def test_the_gradient_and_the_norms_agree_with_torch() -> None:
    job = ready(regression())
    state = job.training().beginning().state
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    views = job.training().network.views(state.parameters.double())
    module.load_state_dict({name: view.clone() for name, view in views.items()})
    x, kept = job.data.parts["train"].x[1:2].double(), []
    for layer in module:
        x = layer(x)
        x.retain_grad()
        kept.append(x)
    nn.functional.mse_loss(x, job.data.parts["train"].y[1:2].double()).backward()
    gradient = module.get_parameter("0.weight").grad
    assert gradient is not None
    found: Explanation = explained(regression(), "0.weight", (6, 2), example=1)
    assert found.gradient == pytest.approx(gradient[6, 2].item(), rel=1e-12)
    norms = [output.grad.norm().item() for output in kept if output.grad is not None]
    assert list(found.norms.values()) == pytest.approx(norms, rel=1e-12)
