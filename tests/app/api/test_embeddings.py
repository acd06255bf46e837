"""What an embedding cannot look up: told at once where that is known, else by the job's end."""

from tests.app.talk import finished, job, mistakes, posted, problem, trained
from tests.app.uploads import classifier, uploaded
from tests.service import Service

MODEL = [
    {"type": "embedding", "num_embeddings": 5, "embedding_dim": 3},
    {"type": "linear", "out_features": 2},
]


def table(largest: int) -> str:
    """Whole numbers from 0 to ``largest``, and a class."""
    rows = [f"{i % (largest + 1)},{(i + 1) % 3},{'ab'[i % 2]}" for i in range(60)]
    return "\n".join(["first,second,y", *rows]) + "\n"


def test_a_table_with_a_number_that_has_no_row_fails_the_job_and_no_worker(
    service: Service,
) -> None:
    fits, strange = (uploaded(service, table(largest))["id"] for largest in (4, 5))
    changes = {"model": MODEL, "split": {"test": 0.2}, "iterations": 20}
    document = finished(service, posted(service, classifier(strange, **changes)))
    assert (document["state"], document["error"]["category"]) == ("failed", "data")
    assert document["error"]["code"] == "unfit_data"
    assert document["error"]["message"] == (
        "the data do not fit the embedding: x[5, 0] = 5 is no whole number from 0 to 4"
    )
    assert document["attempts"] == 1
    well = trained(service, classifier(fits, **changes))
    path = f"/v1/jobs/{well['id']}/predict"
    assert service.http.post(path, json={"inputs": [[4, 0]]}).status_code == 200
    refused = service.http.post(path, json={"inputs": [[4, 0], [0, 5]]})
    (mistake,) = problem(refused, 422, "invalid_request")["errors"]
    assert mistake["pointer"] == "/inputs/1/1"
    assert job(service, well["id"])["state"] == "succeeded"


def test_inline_data_with_a_number_that_has_no_row_are_pointed_at(api: Service) -> None:
    dataset = {"x": [[0, 1], [2, 5]], "y": ["a", "b"]}
    body = {
        "dataset": dataset,
        "model": MODEL,
        "loss": "cross_entropy",
        "optimizer": "adam",
        "iterations": 5,
    }
    assert mistakes(api.http.post("/v1/jobs", json=body)) == {
        "/dataset/x/1/1": ["out_of_range", "5 is no whole number from 0 to 4"]
    }
