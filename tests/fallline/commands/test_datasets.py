"""`fallline datasets …`"""

import json
from pathlib import Path

import pytest

from tests.fallline.commands.conftest import Scripted
from tests.fallline.http.test_transport import DATASET
from tests.fallline.scripted import Answer

UPLOAD = "POST /v1/datasets"


def test_a_file_is_uploaded_under_its_name_and_type(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "flowers.tsv").write_text("a\tb\n1\t2\n")
    fallline, script = scripted({UPLOAD: [Answer(201, DATASET)]})
    options = ["--target", "b", "--no-header", "--ignore", "a", "--ignore", "c"]
    said = fallline("datasets", "upload", f"{tmp_path}/flowers.tsv", *options, "-o", "id")
    assert (said.code, said.out) == (0, "ds_1\n")
    assert script.asked == [f"{UPLOAD}?target=b&name=flowers&header=false&ignore=a&ignore=c"]
    assert script.header("Content-Type") == ["text/tab-separated-values"]
    assert script.requests[0].body == b"a\tb\n1\t2\n"


def test_stdin_is_uploaded(scripted: Scripted) -> None:
    fallline, script = scripted({UPLOAD: [Answer(201, DATASET)]})
    said = fallline("datasets", "upload", "-", "--target", "b", stdin="a,b\n1,2\n")
    assert said.code == 0, said.err
    assert script.requests[0].body == b"a,b\n1,2\n"
    assert script.header("Content-Type") == ["text/csv"]


def test_a_file_that_cannot_be_read_is_wrong_usage(scripted: Scripted, tmp_path: Path) -> None:
    fallline, script = scripted({})
    for file in (tmp_path / "none.csv", tmp_path):
        assert fallline("datasets", "upload", str(file), "--target", "b").code == 2
    assert script.asked == []


def test_every_mistake_in_the_data_is_told(scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1\n")
    errors = [{"pointer": "/line/2", "code": "ragged", "message": "1 field instead of 2"}]
    fallline, _ = scripted({UPLOAD: [Answer(422, {"detail": "Not a table.", "errors": errors})]})
    said = fallline("datasets", "upload", f"{tmp_path}/rows.csv", "--target", "b")
    assert said.code == 4
    assert said.err.splitlines()[1] == "  /line/2: 1 field instead of 2"


def test_data_sets_are_listed_shown_and_deleted(scripted: Scripted) -> None:
    one = "/v1/datasets/ds_1"
    fallline, script = scripted(
        {
            "GET /v1/datasets": [Answer(200, {"data": [DATASET], "has_more": False, "next": None})],
            f"GET {one}": [Answer(200, DATASET)],
            f"DELETE {one}": [Answer(204)],
        }
    )
    assert fallline("datasets", "list", "-o", "csv").out.splitlines()[1].startswith("ds_1,rows,2,")
    assert json.loads(fallline("datasets", "show", "ds_1", "-o", "json").out) == DATASET
    assert fallline("datasets", "show", "ds_1").out.splitlines()[-2:] == [
        "a     feature  numeric                  yes      1",
        "b     target   categorical  2",
    ]
    assert fallline("datasets", "delete", "ds_1").code == 0
    assert script.asked[-1] == f"DELETE {one}"


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_preview_shows_rows(scripted: Scripted, form: str) -> None:
    rows = {"data": [{"a": 1, "b": "red"}, {"a": 2, "b": "=1+1"}]}
    fallline, _ = scripted({"GET /v1/datasets/ds_1/preview": [Answer(200, rows)]})
    assert "red" in fallline("datasets", "preview", "ds_1", "-o", form).out


def test_what_becomes_of_a_column_is_told_with_the_upload(
    scripted: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "rows.xlsx").write_text("a,b\n1,x\n")
    left_out = {"name": "c", "role": "ignored", "kind": "text", "note": "ignored: too many texts"}
    made = {**DATASET, "schema": {"columns": [left_out, {**left_out, "name": "d"}]}}
    fallline, script = scripted({UPLOAD: [Answer(201, made)]})
    options = ["--target", "b", "--ignore", "d", "-o", "id"]
    said = fallline("datasets", "upload", f"{tmp_path}/rows.xlsx", *options)
    assert (said.out, said.err) == ("ds_1\n", "column c: ignored: too many texts\n")
    # What it is, the service sees: it has the better words for a spreadsheet.
    assert script.header("Content-Type") == ["text/csv"]


def test_a_preview_has_true_and_false_as_predictions_take_them(scripted: Scripted) -> None:
    answer = Answer(200, {"data": [{"member": True, "word": "yes"}]})
    fallline, _ = scripted({"GET /v1/datasets/ds_1/preview": [answer, answer]})
    for form in ("table", "csv"):
        said = fallline("datasets", "preview", "ds_1", "-o", form)
        assert said.out.splitlines()[1].replace(",", " ").split() == ["true", "yes"]
