"""Jobs on uploaded data, from the upload to predictions by column name."""

from typing import Any

import numpy as np
import pytest

from tests.app.conftest import Connect
from tests.app.talk import TINY, Document, finished, job, mistakes, posted, problem, trained
from tests.app.uploads import classifier, houses, people, sent, uploaded
from tests.service import Service
from tests.specifications import Specification


@pytest.fixture(scope="session")
def buyers(service: Service) -> tuple[Document, Document]:
    """A data set and the job that was trained on it."""
    dataset = uploaded(service, people(), "bought")
    return dataset, trained(service, classifier(dataset["id"], checkpoint_every_seconds=0))


def regression(dataset: str, **sections: Any) -> Specification:
    """What a house costs."""
    return {
        **classifier(dataset, name="houses", loss="mse_loss"),
        "model": [{"type": "linear", "out_features": 1}],
        **sections,
    }


def predicted(service: Service, job_id: str, inputs: list[Any]) -> list[Document]:
    answer = service.http.post(f"/v1/jobs/{job_id}/predict", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    found: list[Document] = answer.json()["predictions"]
    return found


def test_a_classifier_learns_from_a_table(
    service: Service, buyers: tuple[Document, Document]
) -> None:
    _, document = buyers
    assert document["result"]["test"]["accuracy"] > 0.8
    answer = service.http.get(f"/v1/jobs/{document['id']}/examples", params={"limit": 100})
    examples = answer.json()["data"]
    assert len(examples) == 48
    assert set(examples[0]["input"]) == {"age", "city", "member", "income"}
    assert any(example["input"]["age"] is None for example in examples)
    answers = predicted(service, document["id"], [example["input"] for example in examples])
    right = [a["label"] == e["target"] for a, e in zip(answers, examples, strict=True)]
    assert np.mean(right) == pytest.approx(document["result"]["test"]["accuracy"])


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_regression_learns_from_a_table(decimal: str, service: Service) -> None:
    dataset = uploaded(service, houses().replace(".", decimal), "price")
    assert (dataset["source"]["decimal"], dataset["source"]["delimiter"]) == (decimal, ";")
    document = trained(service, regression(dataset["id"], iterations=600))
    assert document["result"]["test"]["r2"] > 0.95
    (answer,) = predicted(service, document["id"], [{"rooms": 3, "area": 100}])
    assert answer["value"] == pytest.approx([330_000], rel=0.05)
    asked = {"inputs": [{"rooms": 3, "area": f"99{decimal}5"}]}
    refused = service.http.post(f"/v1/jobs/{document['id']}/predict", json=asked)
    assert list(mistakes(refused, "invalid_request")) == ["/inputs/0/area"]


def test_whole_numbers_are_classes_or_numbers_as_the_loss_says(service: Service) -> None:
    rows = "".join(f"{i % 10},{i % 10 // 5}\n" for i in range(60))
    dataset = uploaded(service, "x,y\n" + rows)["id"]
    classes = trained(service, classifier(dataset, split={}, iterations=20))
    assert predicted(service, classes["id"], [[9]])[0]["label"] in (0, 1)
    numbers = trained(service, regression(dataset, split={}, iterations=20))
    assert len(predicted(service, numbers["id"], [[9]])[0]["value"]) == 1


def test_flat_rows_stand_in_the_order_of_the_columns(
    service: Service, buyers: tuple[Document, Document]
) -> None:
    job_id = buyers[1]["id"]
    flat = predicted(service, job_id, [[40, "Oslo", True, 55.5]])
    row = {"income": 55.5, "member": True, "city": "Oslo", "age": 40}
    assert flat == predicted(service, job_id, [row])


def test_a_missing_number_counts_as_the_mean_of_the_training_rows(
    service: Service, buyers: tuple[Document, Document]
) -> None:
    job_id = buyers[1]["id"]
    train = service.http.get(f"/v1/jobs/{job_id}/examples?split=train&limit=100").json()["data"]
    assert len(train) == 100  # of 168: the mean below is near, not equal
    ages = [e["input"]["age"] for e in train if e["input"]["age"] is not None]
    rows = [[age, "Oslo", True, 50] for age in (None, float(np.mean(ages)))]
    missing, mean = predicted(service, job_id, rows)
    assert missing["probabilities"] == pytest.approx(mean["probabilities"], abs=0.05)


def test_a_missing_category_is_one_where_the_data_had_it(
    service: Service, buyers: tuple[Document, Document]
) -> None:
    job_id = buyers[1]["id"]
    assert predicted(service, job_id, [[40, None, True, 50]])
    answer = service.http.post(
        f"/v1/jobs/{job_id}/predict", json={"inputs": [[40, "Oslo", None, 50]]}
    )
    assert mistakes(answer, "invalid_request") == {
        "/inputs/0/2": ["missing", "`member` was never missing in the data, so null means nothing"]
    }


ROW: dict[str, Any] = {"age": 40, "city": "Oslo", "member": True, "income": 50}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (
            {**ROW, "city": "Osla"},
            {"/inputs/1/city": ["unknown_category", "`Osla`: did you mean `Oslo`?"]},
        ),
        (
            {**{k: v for k, v in ROW.items() if k != "city"}, "citi": "Oslo"},
            {
                "/inputs/1/citi": ["unknown_column", "`citi`: did you mean `city`?"],
                "/inputs/1/city": ["missing", "is required; null stands for a missing value"],
            },
        ),
        (
            # Nearest is `city`, which the row has: it was not meant.
            {**ROW, "cit": "Oslo"},
            {
                "/inputs/1/cit": [
                    "unknown_column",
                    "`cit`: the model takes age, city, member, income",
                ]
            },
        ),
        ({**ROW, "age": "40"}, {"/inputs/1/age": ["wrong_type", "`age` must be a number"]}),
        ({**ROW, "age": True}, {"/inputs/1/age": ["wrong_type", "`age` must be a number"]}),
        (
            {**ROW, "age": 1e39},
            {
                "/inputs/1/age": [
                    "not_finite",
                    "must be at most 3.40e+38 in size: float32 holds no more",
                ]
            },
        ),
        (
            {**ROW, "member": "true"},
            {"/inputs/1/member": ["wrong_type", "`member` must be true or false"]},
        ),
        ({**ROW, "city": 3}, {"/inputs/1/city": ["wrong_type", "`city` must be a string"]}),
        (
            [40, "Oslo", True],
            {
                "/inputs/1": [
                    "shape_mismatch",
                    "has 3 values, but the model takes 4: age, city, member, income",
                ]
            },
        ),
        (
            "Oslo",
            {
                "/inputs/1": [
                    "wrong_type",
                    "must be an object by column name, or a list in the order of the columns",
                ]
            },
        ),
    ],
)
def test_a_row_that_does_not_fit_is_pointed_at_by_its_column(
    row: Any, found: Any, service: Service, buyers: tuple[Document, Document]
) -> None:
    path = f"/v1/jobs/{buyers[1]['id']}/predict"
    answer = service.http.post(path, json={"inputs": [ROW, row]})
    assert mistakes(answer, "invalid_request") == found


def test_any_iteration_can_be_had_again_and_the_job_is_verified(
    service: Service, buyers: tuple[Document, Document]
) -> None:
    job_id = buyers[1]["id"]
    answer = service.http.get(f"/v1/jobs/{job_id}/iterations/150?parameters=0.bias")
    assert (answer.status_code, answer.json()["exact"]) == (200, True)
    explained = service.http.get(
        f"/v1/jobs/{job_id}/iterations/150/explain", params={"weight": "2.weight[1,2]"}
    ).json()
    assert set(explained["example"]["input"]) == set(ROW)


@pytest.mark.parametrize("dataset", ["unknown", "another tenant's"])
def test_data_that_are_not_there_are_a_mistake_of_the_specification(
    dataset: str, api: Service, tenant: Connect
) -> None:
    theirs = sent(tenant(api), "x,y\n1,2\n2,3\n").json()["id"]
    answers = {
        name: api.http.post("/v1/jobs", json=classifier(i), headers={"X-Request-Id": "same"})
        for name, i in {"another tenant's": theirs, "unknown": "ds_" + "0" * 26}.items()
    }
    assert mistakes(answers[dataset]) == {
        "/dataset": ["unknown_name", "there is no data set with this id"]
    }
    assert answers["unknown"].content == answers["another tenant's"].content


NOT_THERE = ["unknown_name", "there is no data set with this id"]
UNKNOWN = "ds_" + "0" * 26


@pytest.mark.parametrize("named", ["unknown", "another tenant's", "deleted"])
@pytest.mark.parametrize("of", ["an uploaded table", "inline data"])
def test_a_fork_cannot_go_on_with_data_that_are_not_there(
    named: str, of: str, api: Service, tenant: Connect
) -> None:
    gone = uploaded(api, "x,y\n1,2\n2,3\n")["id"]
    api.http.delete(f"/v1/datasets/{gone}")
    theirs = sent(tenant(api), "x,y\n1,2\n2,3\n").json()["id"]
    other = {"unknown": UNKNOWN, "another tenant's": theirs, "deleted": gone}[named]
    own = classifier(uploaded(api, people(30), "bought")["id"])
    parent = posted(api, own if of == "an uploaded table" else TINY)
    body = {"iteration": 0, "changes": {"dataset": other}}
    answer = api.http.post(f"/v1/jobs/{parent}/fork", json=body)
    assert mistakes(answer) == {"/changes/dataset": NOT_THERE}


@pytest.mark.parametrize("changes", [{}, {"dataset": UNKNOWN}, {"dataset": "iris"}])
def test_a_job_whose_data_were_deleted_cannot_be_forked_or_retried(
    changes: dict[str, Any], api: Service
) -> None:
    dataset = uploaded(api, people(30), "bought")["id"]
    parent = posted(api, classifier(dataset))
    api.http.post(f"/v1/jobs/{parent}/cancel")
    assert api.http.delete(f"/v1/datasets/{dataset}").status_code == 204
    body = {"iteration": 0, "changes": changes}
    for verb, sent_body in (("fork", body), ("retry", None)):
        answer = api.http.post(f"/v1/jobs/{parent}/{verb}", json=sent_body)
        assert problem(answer, 409, "dataset_deleted")["detail"] == (
            "the data set that this job was trained on has been deleted"
        )


def test_data_that_are_not_there_are_pointed_at_at_every_door(api: Service) -> None:
    strange = classifier(UNKNOWN)
    for path, body, pointer in (
        ("validate", strange, "/dataset"),
        ("batch", {"jobs": [TINY, strange]}, "/jobs/1/dataset"),
        ("batch", {"base": strange, "changes": [{}]}, "/base/dataset"),
        (
            "batch",
            {"base": TINY, "changes": [{}, {"dataset": UNKNOWN}]},
            "/changes/1/dataset",
        ),
    ):
        assert mistakes(api.http.post(f"/v1/jobs/{path}", json=body)) == {pointer: NOT_THERE}
    answer = api.http.patch(f"/v1/jobs/{posted(api, TINY)}", json={"dataset": UNKNOWN})
    assert mistakes(answer, "invalid_changes")["/dataset"][0] == "unknown_field"


def test_a_loss_that_does_not_fit_the_target_is_pointed_at(api: Service) -> None:
    dataset = uploaded(api, people(30), "bought")["id"]
    found = mistakes(api.http.post("/v1/jobs", json=regression(dataset)))
    assert found["/loss"][0] == "loss_target_mismatch"
    dataset = uploaded(api, houses(30), "price")["id"]
    found = mistakes(api.http.post("/v1/jobs", json=classifier(dataset)))
    assert found["/loss"][0] == "loss_target_mismatch"


def test_data_that_a_job_needs_are_not_deleted(api: Service) -> None:
    dataset = uploaded(api, people(30), "bought")["id"]
    job_id = posted(api, classifier(dataset))
    refused = problem(api.http.delete(f"/v1/datasets/{dataset}"), 409, "dataset_in_use")
    assert job_id in refused["detail"]
    assert api.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    assert api.http.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert job(api, job_id)["spec"]["dataset"] == dataset


def test_after_its_data_are_deleted_a_model_goes_on_predicting(service: Service) -> None:
    dataset = uploaded(service, people(60, seed=3), "bought")["id"]
    document = trained(service, classifier(dataset, iterations=20))
    before = predicted(service, document["id"], [ROW])
    assert service.http.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert predicted(service, document["id"], [ROW]) == before
    for path in ("examples", "iterations/3"):
        refused = service.http.get(f"/v1/jobs/{document['id']}/{path}")
        assert problem(refused, 409, "dataset_deleted")["detail"] == (
            "the data set that this job was trained on has been deleted"
        )


def test_a_job_on_a_damaged_file_says_so(service: Service) -> None:
    dataset = uploaded(service, people(71, seed=4), "bought")
    (file,) = [
        path
        for path in (service.home / "objects/dataset").rglob("*")
        if path.is_file() and path.stat().st_size == dataset["size"]
    ]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    document = finished(service, posted(service, classifier(dataset["id"])))
    assert (document["state"], document["error"]["code"]) == ("failed", "dataset_damaged")
