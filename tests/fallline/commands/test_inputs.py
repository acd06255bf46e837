"""What a command reads."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from app.ingestion import column_profile
from app.ingestion import encoding as app_text
from fallline.commands.inputs import DELIMITERS, MISSING, inputs_of, specification

SPEC = {"loss": "mse_loss", "optimizer": {"type": "sgd", "lr": 1}, "model": ["relu", {"p": 1}]}


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return str(path)


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("optimizer.lr=0.1", ["optimizer", "lr"], 0.1),
        ("name=a b=c", ["name"], "a b=c"),
        ("model.1.p=null", ["model", 1, "p"], None),
        ("split.test=0.2", ["split", "test"], 0.2),
        ("loss.reduction=sum", ["loss"], {"type": "mse_loss", "reduction": "sum"}),
        ('metadata={"a": "b"}', ["metadata"], {"a": "b"}),
        ("optimizer.lr=NaN", ["optimizer", "lr"], "NaN"),
        ("optimizer.lr=1e999", ["optimizer", "lr"], "1e999"),
        (f"name={'[' * 100_000}", ["name"], "[" * 100_000),
    ],
)
def test_a_change_is_made_where_its_path_leads(
    spec: str, change: str, path: list[str | int], value: Any
) -> None:
    found: Any = specification(spec, [change])
    for step in path:
        found = found[step]
    assert found == value


@pytest.mark.parametrize("change", ["lr", "model.7=1", "model.x=1", "optimizer.lr.x=1"])
def test_a_change_that_leads_nowhere_is_wrong_usage(spec: str, change: str) -> None:
    with pytest.raises(typer.BadParameter):
        specification(spec, [change])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON.*line 1 column 2"),
        (b"[" * 100_000, "no JSON"),
        (b'{"iterations": Infinity}', "no JSON: Infinity is no number there"),
        (b"[]", "no JSON object"),
        (b'{"name": "\xff"}', r"not UTF-8 \(byte 10\)"),
    ],
)
def test_a_file_that_is_no_specification_says_why(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(typer.BadParameter, match=sentence):
        specification(str(tmp_path / "spec.json"), [])


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="No such file"):
        specification(str(tmp_path / "none.json"), [])


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("rows.json", "[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("rows.json", '{"inputs": [[1]]}', [[1]]),
        ("rows.csv", "a,b\n1.5,red\n", [{"a": 1.5, "b": "red"}]),
        ("rows.csv", "a;b\n1,5e999;-1e999\n", [{"a": "1,5e999", "b": "-1e999"}]),
    ],
)
def test_rows_are_json_or_csv(tmp_path: Path, name: str, text: str, rows: list[Any]) -> None:
    (tmp_path / name).write_text(text)
    assert inputs_of(str(tmp_path / name)) == rows


def test_a_file_is_read_by_the_rules_of_an_upload() -> None:
    assert frozenset(column_profile.MISSING) == MISSING
    assert app_text.DELIMITERS == DELIMITERS


@pytest.mark.parametrize("text", ["7", "{}", '{"inputs": 7}'])
def test_what_holds_no_rows_is_wrong_usage(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(typer.BadParameter, match="no list of rows"):
        inputs_of(str(tmp_path / "rows.json"))
