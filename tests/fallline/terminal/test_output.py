"""The forms of `--output`."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from fallline.terminal.output import Form, Printer, Row, harmless

ROWS = [
    Row({"id": "job_1", "loss": "NaN"}, {"id": "job_1", "loss": float("nan")}, "job_1"),
    Row({"id": "job_22", "loss": 0.5}, {"id": "job_22", "loss": 1 / 3}, "job_22"),
]


def printed(form: Form, rows: list[Row]) -> list[str]:
    lines: list[str] = []
    Printer(form, lines.append).rows(rows)
    return lines


def one(form: Form, row: Row) -> str:
    lines: list[str] = []
    Printer(form, lines.append).one(row)
    return "\n".join(lines)


def test_a_table_has_its_columns_under_each_other() -> None:
    assert printed(Form.TABLE, ROWS) == ["id      loss", "job_1   NaN", "job_22  0.333333"]


def test_a_wide_character_takes_two_columns() -> None:
    rows = [Row({}, {"name": name, "n": 1}) for name in ("学习", "abcd")]
    assert printed(Form.TABLE, rows) == ["name  n", "学习  1", "abcd  1"]


def test_no_name_of_a_job_steers_the_terminal() -> None:
    (_, line) = printed(Form.TABLE, [Row({}, {"name": "\x1b[31mred\nnext\u202e"})])
    assert line == r"\x1b[31mred\nnext\u202e"


def test_an_empty_table_says_so_but_not_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(Form.TABLE, []) == []
    assert capsys.readouterr().err == "Nothing there.\n"


def test_json_is_what_the_service_answered() -> None:
    documents = [row.document for row in ROWS]
    assert json.loads("\n".join(printed(Form.JSON, ROWS))) == documents
    assert [json.loads(line) for line in printed(Form.JSONL, ROWS)] == documents
    assert json.loads(one(Form.JSON, ROWS[0])) == documents[0]


def test_ids_come_one_a_line() -> None:
    assert printed(Form.ID, ROWS) == ["job_1", "job_22"]


def test_where_there_are_no_ids_that_is_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter, match="no ids"):
        printed(Form.ID, [Row({}, {"iteration": 1})])


def test_csv_has_a_header_and_every_digit() -> None:
    assert printed(Form.CSV, ROWS) == ["id,loss", "job_1,NaN", "job_22,0.3333333333333333"]


def test_a_single_thing_is_upright_as_a_table() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    row = Row({}, {"id": "job_1", "created": when, "sure": True, "model": None})
    assert one(Form.TABLE, row) == (
        "id       job_1\ncreated  2026-01-02 03:04:05\nsure     yes\nmodel"
    )


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "=HYPERLINK(1)"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    (_, line) = printed(Form.CSV, [Row({}, {"name": cell})])
    assert next(csv.reader([line])) == [f"'{cell}"]


@pytest.mark.parametrize("cell", ["-1", "+2.5", "-1e-7", "-Infinity", "NaN", "plain", "a=b", ""])
def test_a_number_and_a_word_stay_what_they_are(cell: str) -> None:
    assert harmless(cell) == cell


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_csv_is_read_back_whatever_the_cells_hold(cells: list[str]) -> None:
    row: dict[str, Any] = {f"column {n}": cell for n, cell in enumerate(cells)}
    lines = printed(Form.CSV, [Row({}, row)])
    read = list(csv.reader(io.StringIO("\n".join(lines), newline="")))
    assert read[1:] == [[harmless(cell) for cell in cells]]
