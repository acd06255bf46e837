"""Predictions from a model file: nothing but the forward pass."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.gate import mistakes
from tests.training.small_jobs import LOSSES, Ended, Job, binary, cnn, ready, regression, stepped
from training.catalog.layers import LayerNorm
from training.engine.evaluate import outputs
from training.engine.predict import Predictor, UnfitInput, encode
from training.functional.network import Network
from training.tensors.data import raw

DIGITS = {
    "dataset": "digits",
    "split": {"test": 0.2},
    "model": [{"type": "linear", "out_features": 10}],
    "loss": "cross_entropy",
    "optimizer": {"type": "sgd", "lr": 0.1},
    "iterations": 30,
}


def predictor(job: Job, ended: Ended) -> Predictor:
    """The model through its file."""
    return Predictor(encode(job.plan, job.data.preparation, ended.outcome.weights))


@pytest.fixture(scope="module")
def digits() -> tuple[Job, Predictor]:
    job = ready(DIGITS)
    return job, predictor(job, stepped(job, 60))


@pytest.fixture(scope="module")
def numbers() -> tuple[Job, Ended, Predictor]:
    job = ready(regression(prepare="standardize"))
    ended = stepped(job, 60)
    return job, ended, predictor(job, ended)


@pytest.mark.parametrize(
    "specification", [cnn(iterations=20), DIGITS], ids=["batch norm and dropout", "digits"]
)
def test_a_model_file_predicts_what_evaluation_saw(specification: dict[str, Any]) -> None:
    job = ready(specification)
    ended = stepped(job, 60)
    part = next(job.data.parts[name] for name in ("test", "validation") if name in job.data.parts)
    seen = outputs(Network(job.plan.layers), *ended.outcome.weights, part.x)
    x, _ = raw(job.plan)
    answers = predictor(job, ended).predict(x[part.rows].tolist(), logits=True)
    # Predictions multiply by other tiles than evaluation does
    # (training.functional.row_invariant_layers).
    given = torch.tensor([answer["logits"] for answer in answers])
    torch.testing.assert_close(given, seen, rtol=1e-5, atol=1e-5)
    given = torch.tensor([answer["probabilities"] for answer in answers])
    torch.testing.assert_close(given, seen.softmax(1), rtol=1e-5, atol=1e-6)
    right = np.mean([a["label"] == k for a, k in zip(answers, part.y.tolist(), strict=True)])
    values = ended.outcome.result
    assert right == pytest.approx(values.get("test", values.get("validation", {}))["accuracy"])


def test_regression_answers_in_the_targets_own_units(
    numbers: tuple[Job, Ended, Predictor],
) -> None:
    job, ended, model = numbers
    x, y = raw(job.plan)
    rows = job.data.parts["test"].rows
    answers = np.array([answer["value"] for answer in model.predict(x[rows].tolist())])
    assert answers.shape == (4, 2)
    mse = ((answers - y[rows]) ** 2).mean()
    assert mse == pytest.approx(ended.outcome.result["test"]["mse"], rel=1e-5)


def test_labels_are_the_users_own() -> None:
    specification = regression(
        dataset={"x": [[-1.0], [1.0]] * 20, "y": ["no", "yes"] * 20},
        split={},
        model=[{"type": "linear", "out_features": 2}],
        loss="cross_entropy",
        optimizer={"type": "sgd", "lr": 1.0},
    )
    job = ready(specification)
    answers = predictor(job, stepped(job, 60)).predict([[-1.0], [1.0]])
    assert [answer["label"] for answer in answers] == ["no", "yes"]
    assert answers[0]["probabilities"][0] > 0.9
    assert "logits" not in answers[0]


def test_one_output_gives_the_probabilities_of_both_labels() -> None:
    job = ready(binary())
    ended = stepped(job, 60)
    x = raw(job.plan)[0][:]
    answers = predictor(job, ended).predict(x.tolist(), logits=True)
    for answer in answers:
        (z,) = answer["logits"]
        no, yes = answer["probabilities"]
        assert yes == pytest.approx(1 / (1 + np.exp(-z)), rel=1e-6)
        assert no + yes == pytest.approx(1, rel=1e-6)
        assert answer["label"] == ("yes" if z > 0 else "no")
    rows, labels = job.data.parts["test"].rows, job.plan.spec.dataset.y  # type: ignore[union-attr]
    right = np.mean([answers[row]["label"] == labels[row] for row in rows])
    assert ended.outcome.result["test"]["accuracy"] == pytest.approx(right)


def test_log_probabilities_give_their_probabilities() -> None:
    job = ready(LOSSES["nll_loss"])
    answers = predictor(job, stepped(job, 60)).predict(raw(job.plan)[0][:].tolist(), logits=True)
    for answer in answers:
        assert answer["probabilities"] == pytest.approx(np.exp(answer["logits"]), rel=1e-5)


def test_probabilities_add_up_to_one(digits: tuple[Job, Predictor]) -> None:
    job, model = digits
    for answer in model.predict(raw(job.plan)[0][:20].tolist()):
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-6)
        assert answer["label"] == np.argmax(answer["probabilities"])


def test_flat_rows_stand_for_images(digits: tuple[Job, Predictor]) -> None:
    job, model = digits
    x = raw(job.plan)[0][:5]
    assert model.predict(x.reshape(5, 64).tolist()) == model.predict(x.tolist())


def test_a_bare_number_stands_for_a_row_of_one() -> None:
    job = ready(
        regression(
            dataset={"x": [1.0, 2.0], "y": [2.0, 4.0]},
            split={},
            model=[{"type": "linear", "out_features": 1}],
        )
    )
    model = predictor(job, stepped(job, 60))
    assert model.predict([3.0, 4.0]) == model.predict([[3.0], [4.0]])


def test_an_answer_does_not_depend_on_its_neighbours(digits: tuple[Job, Predictor]) -> None:
    job, model = digits
    x = raw(job.plan)[0][:40].tolist()
    assert [model.predict([row])[0] for row in x] == model.predict(x)


NUMBER = "must be a row of numbers"
ZEROS: list[Any] = [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("inputs", "place", "message"),
    [
        ([], (), "at least one input is needed"),
        ([ZEROS, [1.0, [2.0], 3.0]], (1,), NUMBER),
        ([[1.0, "2", 3.0]], (0,), NUMBER),
        ([ZEROS, "abc"], (1,), NUMBER),
        ([[1.0, None, 3.0]], (0,), NUMBER),
        ([[1.0, True, 3.0]], (0,), NUMBER),
        ([{"a": 1.0}], (0,), NUMBER),
        ([[]], (0,), NUMBER),
        ([[10**400, 1, 1]], (0,), NUMBER),
        ([ZEROS, [1.0, 2.0]], (1,), "the model takes 3 numbers a row, but 2 came"),
        ([5.0], (0,), "the model takes 3 numbers a row, but a single number came"),
        ([[ZEROS]], (0,), "the model takes 3 numbers a row, but 1×3 came"),
        ([ZEROS, [0.0, float("nan"), 0.0]], (1, 1), "must be a finite number, not NaN or Inf"),
        ([[0.0, 0.0, float("inf")]], (0, 2), "must be a finite number, not NaN or Inf"),
    ],
)
def test_an_input_that_does_not_fit_is_told_with_its_place(
    numbers: tuple[Job, Ended, Predictor], inputs: list[Any], place: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UnfitInput) as refused:
        numbers[2].predict(inputs)
    assert refused.value.place == place
    assert str(refused.value) == message


def test_nesting_without_end_is_refused(numbers: tuple[Job, Ended, Predictor]) -> None:
    deep: Any = 1.0
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(UnfitInput, match=NUMBER):
        numbers[2].predict([deep])


def test_the_place_of_a_number_in_an_image_leads_into_the_image(
    digits: tuple[Job, Predictor],
) -> None:
    image = np.zeros((1, 8, 8))
    image[0, 3, 5] = np.nan
    with pytest.raises(UnfitInput) as refused:
        digits[1].predict([image.tolist()])
    assert refused.value.place == (0, 0, 3, 5)


def test_predicting_changes_nothing() -> None:
    job = ready(cnn(iterations=5))
    model = predictor(job, stepped(job, 60))
    x = raw(job.plan)[0][:6].tolist()
    before = {name: tensor.clone() for name, tensor in model.tensors.items()}
    assert model.predict(x) == model.predict(x)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.tensors.items())


def test_a_trained_model_predicts_though_a_number_of_it_would_not_be_accepted_now() -> None:
    """``eps`` of 1e-40 was, before float32 had to hold it."""
    one = ready(regression(model=["layer_norm", {"type": "linear", "out_features": 2}]))
    word = LayerNorm.model_construct(eps=1e-40)
    model = one.plan.spec.model.model_copy(
        update={"layers": [word, *one.plan.spec.model.layers[1:]]}
    )
    before = replace(one.plan, spec=one.plan.spec.model_copy(update={"model": model}))
    assert [m.pointer for m in mistakes(before.spec.model_dump(mode="json"))] == [
        "/model/layers/0/eps"
    ]
    weights = stepped(one, 60).outcome.weights
    kept = Predictor(encode(before, one.data.preparation, weights))
    assert kept.predict([[1.0, 2.0, 3.0]])
