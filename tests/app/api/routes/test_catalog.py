"""The catalogue over HTTP: every word, described by schemas that a validator takes."""

import copy
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from tests import specifications
from tests.service import Service
from tests.specifications import DIGITS_MLP, Specification
from training import catalog
from training.spec.job_spec import JobSpec
from training.validation.check import check

Json = Any

FAMILIES: dict[str, Any] = {
    "layers": catalog.LAYERS,
    "losses": catalog.LOSSES,
    "optimizers": catalog.OPTIMIZERS,
    "schedules": catalog.SCHEDULES,
    "metrics": catalog.METRICS,
    "inits": catalog.INITS,
    "preparations": catalog.PREPARATIONS,
    "datasets": catalog.BUNDLED,
}


@pytest.fixture(scope="module")
def words(api: Service) -> Json:
    answer = api.http.get("/v1/catalog")
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture(scope="module")
def schema(api: Service) -> Json:
    answer = api.http.get("/v1/catalog/schema")
    assert answer.status_code == 200
    return answer.json()


def arguments(words: Json, family: str, name: str) -> jsonschema_rs.Draft202012Validator:
    (found,) = [word for word in words[family] if word["name"] == name]
    return jsonschema_rs.Draft202012Validator(found["arguments"])


# The words.


def test_every_word_is_there_with_a_sentence(words: Json) -> None:
    assert set(words) == {"object", *FAMILIES}
    for family, known in FAMILIES.items():
        assert [word["name"] for word in words[family]] == list(known)
        for word in words[family]:
            assert word["summary"].endswith("."), word
            assert len(word["summary"]) < 250
            assert "``" not in word.get("description", "")


def test_every_schema_of_arguments_is_one(words: Json) -> None:
    for family in set(FAMILIES) - {"datasets"}:
        for word in words[family]:
            assert word["arguments"]["$schema"].endswith("2020-12/schema")
            assert "type" not in word["arguments"]["properties"]
            assert jsonschema_rs.meta.is_valid(word["arguments"]), word["name"]
            validator = arguments(words, family, word["name"])
            assert not validator.is_valid({"no_such_argument": 1})
            assert validator.is_valid({}) is not bool(word["arguments"]["required"])


@pytest.mark.parametrize(
    ("family", "name", "right", "wrong"),
    [
        ("layers", "linear", {"out_features": 3, "bias": False, "init": "ones"}, {"bias": True}),
        ("layers", "conv2d", {"out_channels": 3, "kernel_size": [3, 1]}, {"out_channels": 3}),
        ("layers", "residual", {"layers": ["relu"]}, {"layers": ["rellu"]}),
        ("layers", "residual", {"layers": [{"type": "residual", "layers": ["relu"]}]}, {}),
        ("losses", "cross_entropy", {"weight": [0.5, 2.0]}, {"weight": "balance"}),
        ("losses", "cross_entropy", {"weight": "balanced"}, {"label_smoothing": 2}),
        ("optimizers", "adamw", {"betas": [0.9, 0.99]}, {"betas": [0.9]}),
        ("optimizers", "sgd", {"lr": 0.1}, {"lr": 0}),
        ("schedules", "multi_step", {"milestones": [3, 9]}, {"milestones": []}),
        ("metrics", "top_k_accuracy", {"k": 3}, {"k": 0}),
        ("inits", "constant", {"value": 2.0}, {}),
    ],
)
def test_arguments_are_described(
    words: Json, family: str, name: str, right: Json, wrong: Json
) -> None:
    validator = arguments(words, family, name)
    validator.validate(right)
    assert not validator.is_valid(wrong)


def test_data_sets_are_described_by_their_facts(words: Json) -> None:
    found = {entry["name"]: entry for entry in words["datasets"]}
    assert found["digits"]["rows"] == 1797
    assert found["digits"]["input_shape"] == [1, 8, 8]
    assert found["digits"]["classes"] == list(range(10))
    assert found["iris"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert (found["diabetes"]["classes"], found["diabetes"]["width"]) == (None, 1)


@pytest.mark.parametrize("path", ["/v1/catalog", "/v1/catalog/schema"])
def test_who_has_the_catalogue_is_not_sent_it_again(path: str, api: Service) -> None:
    first = api.http.get(path)
    assert first.headers["Cache-Control"] == "private, max-age=300"
    again = api.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


# The form of a specification.


def changed(**sections: Any) -> Specification:
    """The digits classifier with some sections changed; ``None`` leaves one out."""
    whole = {**copy.deepcopy(DIGITS_MLP), **sections}
    return {name: value for name, value in whole.items() if value is not None}


OUT = {"type": "linear", "out_features": 10}
RIGHT: dict[str, Specification] = {
    **{
        name: raw
        for name, raw in vars(specifications).items()
        if isinstance(raw, dict) and "dataset" in raw
    },
    "all sections": changed(
        prepare="min_max",
        model=["flatten", OUT],
        loss={"type": "cross_entropy", "weight": "balanced"},
        schedule="cosine",
        batch_size="full",
        metrics=["accuracy", "f1", {"type": "top_k_accuracy", "k": 3}],
        evaluate_every=10,
        early_stopping={"patience": 3, "metric": "validation_f1"},
        convergence={"tolerance": 1e-6},
        clip_grad_norm=1.0,
        precision="auto",
        deterministic=True,
        fuse="never",
        time_limit_seconds=60,
        device="cpu",
        priority=3,
        metadata={"team": "a"},
    ),
    "bare words": changed(model=[OUT], loss="cross_entropy", optimizer="lion", schedule="cosine"),
    "epochs": {**changed(iterations=None), "epochs": 3},
    "one of both lengths": {**changed(), "epochs": None},
    "blocks": changed(model=[{"type": "residual", "layers": ["relu", OUT], "name": "a"}, OUT]),
}
WRONG: dict[str, Any] = {
    "no object": [],
    "nothing": {},
    "no data": changed(dataset=None),
    "unknown field": changed(optimiser="sgd"),
    "unknown word": changed(optimizer="adan"),
    "bare word that needs arguments": changed(model=["linear"]),
    "bare schedule that needs arguments": changed(schedule="one_cycle"),
    "word without a name": changed(optimizer={"lr": 0.1}),
    "layer without a name": changed(model=[{"out_features": 10}]),
    "unknown argument": changed(optimizer={"type": "sgd", "momentun": 0.9}),
    "rate of zero": changed(optimizer={"type": "sgd", "lr": 0}),
    "no layers": changed(model=[]),
    "unknown layer in a block": changed(model=[{"type": "residual", "layers": ["rellu"]}]),
    "both lengths": changed(epochs=3),
    "no length": changed(iterations=None),
    "no iteration": changed(iterations=0),
    "batch by a wrong name": changed(batch_size="ful"),
    "share above one": changed(split={"test": 1.5}),
    "unknown metric": changed(metrics=["acuracy"]),
    "metadata of numbers": changed(metadata={"a": 1}),
    "job name": changed(name="../x"),
    "unknown precision": changed(precision="fp8"),
    "data without targets": changed(dataset={"x": [[1.0]]}),
}


def test_the_schema_is_one_and_refers_to_nothing_outside(schema: Json) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert jsonschema_rs.meta.is_valid(schema)
    assert all(reference.startswith("#/$defs/") for reference in references(schema))


def references(node: Json) -> list[str]:
    own = [node["$ref"]] if isinstance(node, dict) and "$ref" in node else []
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return own + [found for one in inner for found in references(one)]


@pytest.mark.parametrize("name", RIGHT)
def test_the_schema_takes_what_is_right(name: str, schema: Json) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema)
    validator.validate(RIGHT[name])
    stored = check(RIGHT[name]).spec.model_dump(mode="json")
    validator.validate(stored)


@pytest.mark.parametrize("name", WRONG)
def test_the_schema_refuses_what_is_wrong(name: str, schema: Json) -> None:
    assert not jsonschema_rs.Draft202012Validator(schema).is_valid(WRONG[name])


@pytest.mark.parametrize("name", RIGHT)
def test_the_schema_refuses_every_form_that_the_service_refuses(name: str, schema: Json) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema)
    agreed = 0
    for raw in damaged(RIGHT[name]):
        try:
            JobSpec.model_validate(raw)
        except ValidationError:
            assert not validator.is_valid(raw), raw
            agreed += 1
    assert agreed > 20


def damaged(raw: Json) -> list[Json]:
    """The same with one value at a time replaced by one that hardly fits, or with one too many."""
    found: list[Json] = []
    inner = raw.items() if isinstance(raw, dict) else enumerate(raw)
    for key, value in inner:
        if key in ("x", "y"):
            continue  # data are looked at by another check
        others: list[Json] = [
            -1,
            "?",
            {"type": "?"},
            [[]],
            *([None] if isinstance(raw, list) else []),
        ]
        if isinstance(value, dict | list):
            others += damaged(value)
        for other in others:
            whole = copy.copy(raw)
            whole[key] = other
            found.append(whole)
    return [*found, {**raw, "?": 1}] if isinstance(raw, dict) else found
