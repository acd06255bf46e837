"""`fallline models …` and `fallline predict`."""

import json
from pathlib import Path

from tests.fallline.commands.conftest import Scripted
from tests.fallline.scripted import Answer


def test_a_regression_has_its_values(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y\n1,red\n2,blue\n")
    rows = [{"value": [1.5]}, {"value": ["Infinity"]}]
    said = Answer(200, {"model": "a b", "version": 2, "predictions": rows})
    fallline, script = scripted({"POST /v1/models/a%20b/versions/2/predict": [said]})
    asked = fallline("predict", "a b", f"{tmp_path}/rows.csv", "--version", "2", "-o", "csv")
    assert asked.out.splitlines() == ["row,value 0", "0,1.5", "1,Infinity"]
    assert b'"inputs":[{"x":1,"y":"red"},{"x":2,"y":"blue"}]' in script.requests[0].body


def test_a_file_of_another_dialect_is_read_as_an_upload_reads_it(
    scripted: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text('"a, b";n\n3,5;1\n,25;x,5\n"1,5";2.5\n')
    said = Answer(200, {"model": "m", "version": 2, "predictions": []})
    fallline, script = scripted({"POST /v1/models/m/predict": [said]})
    assert fallline("predict", "m", f"{tmp_path}/rows.csv").code == 0
    assert json.loads(script.requests[0].body)["inputs"] == [
        {"a, b": 3.5, "n": 1},
        {"a, b": 0.25, "n": "x,5"},
        {"a, b": 1.5, "n": 2.5},
    ]


def test_a_classification_has_its_label_and_how_sure_it_is(scripted: Scripted) -> None:
    rows = [{"label": "red", "probabilities": [0.25, 0.75]}]
    said = Answer(200, {"model": "m", "version": 1, "predictions": rows})
    fallline, _ = scripted({"POST /v1/models/m/predict": [said]})
    shown = fallline("predict", "m", stdin="[[1]]")
    assert shown.out.splitlines() == ["row  label  probability", "0    red    0.75"]
    assert fallline("predict", "m", "-o", "jsonl", stdin="[[1]]").out.count("probabilities") == 1


def test_of_many_mistakes_the_first_ten_are_told(scripted: Scripted) -> None:
    errors = [{"pointer": f"/inputs/{n}", "code": "x", "message": "is wrong"} for n in range(25)]
    said = Answer(422, {"code": "invalid", "detail": "No.", "errors": errors})
    fallline, _ = scripted({"POST /v1/models/m/predict": [said]})
    asked = fallline("predict", "m", stdin="[[1]]")
    assert asked.code == 4
    assert asked.err.splitlines() == [
        "fallline: No. (422 invalid)",
        *(f"  /inputs/{n}: is wrong" for n in range(10)),
        "  and 15 more",
    ]


def test_an_id_of_a_job_asks_the_model_it_left(scripted: Scripted) -> None:
    said = Answer(200, {"model": "m", "version": 1, "predictions": []})
    fallline, script = scripted({"POST /v1/jobs/job_1/predict": [said]})
    assert fallline("predict", "job_1", stdin="[[1]]").code == 0
    assert script.asked == ["POST /v1/jobs/job_1/predict"]


def test_models_are_listed_by_name(scripted: Scripted) -> None:
    newest = {"id": "mdl_2", "model": "m", "version": 3, "job": "job_1", "sha256": "0", "size": 9}
    when = {"created_at": "2026-01-02T03:04:05.678Z"}
    model = {"id": "mdl_1", "name": "m", "versions": 3, "newest": {**newest, **when}, **when}
    fallline, _ = scripted(
        {
            "GET /v1/models": [Answer(200, {"data": [model], "has_more": False, "next": None})],
            "GET /v1/models/m": [Answer(200, model)],
        }
    )
    assert fallline("models", "list", "-o", "id").out == "m\n"
    assert fallline("models", "show", "m", "-o", "csv").out.splitlines()[1].startswith("m,3,job_1")


def test_a_model_is_fetched_into_a_new_file(scripted: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    where = "GET /v1/models/m/versions/3/download"
    fallline, script = scripted({where: [Answer(200, "the weights")]})
    fetched = fallline("models", "download", "m", str(file), "--version", "3")
    assert fetched.code == 0, fetched.err
    assert file.read_text() == "the weights"
    assert script.asked == [f"{where}?format=safetensors"]
    again = fallline("models", "download", "m", str(file), "--version", "3")
    assert (again.code, "File exists" in again.err) == (2, True)


def test_a_file_that_was_uploaded_can_be_asked_about(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y,z,goal\n, NA ,TRUE,red\n")
    said = Answer(200, {"model": "m", "version": 1, "predictions": [{"value": [1.5]}]})
    fallline, script = scripted({"POST /v1/models/m/predict": [said]})
    asked = fallline("predict", "m", f"{tmp_path}/rows.csv", "--ignore", "goal")
    assert asked.code == 0, asked.err
    assert b'"inputs":[{"x":null,"y":null,"z":true}]' in script.requests[0].body
