"""What an embedding is given: whole numbers it has rows for, as they are in the data."""

from dataclasses import replace
from typing import Any

import pytest

from tests.training.small_jobs import FLOAT32, cnn, ready, stepped
from training.engine.predict import Predictor, UnfitInput, encode
from training.spec.job_spec import Model
from training.spec.plan import infer_shapes
from training.tensors.data import UnfitData, load
from training.validation.check import check


def lookup(rows: int, **sections: Any) -> dict[str, Any]:
    """A classifier of four whole numbers from 0 to 8."""
    x = [[(3 * i + k) % 9 for k in range(4)] for i in range(48)]
    embedding = {"type": "embedding", "num_embeddings": rows, "embedding_dim": 5}
    return cnn(
        dataset={"x": x, "y": [i % 3 for i in range(48)]},
        model=[embedding, {"type": "linear", "out_features": 3}],
        **sections,
    )


def test_data_with_a_number_that_has_no_row_are_refused_when_they_are_loaded() -> None:
    plan = check(lookup(9))
    small = infer_shapes(
        Model.model_validate({"layers": lookup(8)["model"]}), plan.facts.input_shape
    )
    with pytest.raises(UnfitData, match=r"x\[2, 2\] = 8 is no whole number from 0 to 7"):
        load(replace(plan, layers=small), FLOAT32)


def test_images_that_are_looked_up_are_not_scaled() -> None:
    embedding = {"type": "embedding", "num_embeddings": 17, "embedding_dim": 2}
    out = {"type": "linear", "out_features": 10}
    job = ready(cnn(dataset="digits", model=[embedding, out], iterations=2))
    assert job.data.parts["train"].x.max() == 16
    stepped(job)


@pytest.mark.parametrize(
    ("row", "place", "sentence"),
    [
        ([0, 1, 2, 9], (1, 3), "9 is no whole number from 0 to 8"),
        ([-1, 1, 2, 3], (1, 0), "-1 is no whole number from 0 to 8"),
        ([0, 1.5, 2, 3], (1, 1), "1.5 is no whole number from 0 to 8"),
        ([0, 1, 1e300, 3], (1, 2), "1e+300 is no whole number from 0 to 8"),
    ],
)
def test_an_input_without_a_row_is_pointed_at(
    row: list[float], place: tuple[int, ...], sentence: str
) -> None:
    job = ready(lookup(9, iterations=3))
    weights = stepped(job).outcome.weights
    model = Predictor(encode(job.plan, job.data.preparation, weights))
    assert len(model.predict([[0, 1, 2, 8]])) == 1
    with pytest.raises(UnfitInput) as refused:
        model.predict([[0, 1, 2, 3], row])
    assert (refused.value.place, str(refused.value)) == (place, sentence)
