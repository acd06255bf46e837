"""A file becomes typed columns; what is wrong with it is told with its line."""

import io
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from app.ingestion import report
from app.ingestion.array_writer import Written, repeated, write
from app.ingestion.column_roles import Reading, read
from app.ingestion.dialect import RequestedDialect
from app.ingestion.encoding import BadFile, Bounds, UnknownColumn
from training.datasets.array_file import mapped

PEOPLE = """\
name,age,city,member,height,bought
Ann,31,Oslo,true,1.70,yes
Bob,,Bergen,false,1.82,no
Cid,44,Oslo,TRUE,NA,yes
Dee,31, Oslo ,,1.65,no
"""


class Taken(NamedTuple):
    """A file that became a table."""

    reading: Reading
    written: Written
    arrays: dict[str, Any]


def taken(
    text: str | bytes, target: str = "y", bounds: Bounds | None = None, **wishes: Any
) -> Taken:
    content = text.encode() if isinstance(text, str) else text
    file, wish, bounds = io.BytesIO(content), RequestedDialect(target, **wishes), bounds or Bounds()
    reading = read(file, wish, bounds)
    with tempfile.NamedTemporaryFile() as to:
        written = write(file, reading, bounds, to)
        arrays = {name: np.array(values) for name, values in mapped(Path(to.name)).items()}
    return Taken(reading, written, arrays)


def refused(text: str | bytes, target: str = "y", **wishes: Any) -> tuple[str, str]:
    """Code and sentence of what is wrong with a file."""
    with pytest.raises(BadFile) as error:
        taken(text, target, **wishes)
    return error.value.code, str(error.value)


def test_columns_are_numbers_booleans_or_categories() -> None:
    found = taken(PEOPLE, "bought", ignore=frozenset({"name"}))
    columns = {c.name: c for c in found.reading.table.columns}
    assert [(c.name, c.kind, c.width) for c in columns.values()] == [
        ("age", "numeric", 1),
        ("city", "categorical", 2),
        ("member", "boolean", 3),
        ("height", "numeric", 1),
    ]
    assert columns["city"].categories == ("Bergen", "Oslo")
    assert columns["member"].categories == ("false", "true")
    assert columns["member"].missing
    np.testing.assert_equal(
        found.arrays["numeric"], [[31, 1.7], [np.nan, 1.82], [44, np.nan], [31, 1.65]]
    )
    assert found.arrays["codes"].tolist() == [[1, 1], [0, 0], [1, 1], [1, -1]]
    assert found.arrays["labels"].tolist() == [1, 0, 1, 0]
    assert found.reading.table.labels == ("no", "yes")
    assert found.reading.table.counts == (2, 2)
    assert not found.reading.table.numbers


def test_statistics_say_what_is_in_the_columns() -> None:
    found = taken(PEOPLE, "bought")
    said = report.statistics(found.reading, found.written)
    age = said["columns"]["age"]
    assert age.pop("mean") == pytest.approx(np.mean([31, 44, 31]))
    assert age.pop("std") == pytest.approx(np.std([31, 44, 31]))
    assert age == {"missing": 1, "distinct": 2, "min": 31, "max": 44}
    assert said["columns"]["city"] == {
        "missing": 0,
        "distinct": 2,
        "counts": {"Bergen": 1, "Oslo": 3},
    }
    assert said["classes"] == {"no": 2, "yes": 2}


def test_moments_do_not_depend_on_where_blocks_end() -> None:
    values = np.random.default_rng(0).normal(1e6, 1e-2, size=400_000)
    values += np.linspace(0, 1, len(values))  # the mean of each block is another one
    rows = "\n".join(f"{v!r},{i % 2}" for i, v in enumerate(values.tolist()))
    said = taken(f"x,y\n{rows}\n").reading.profiles["x"].statistics(categorical=False)
    assert said["mean"] == pytest.approx(values.mean(), rel=1e-14)
    assert said["std"] == pytest.approx(values.std(), rel=1e-6)
    assert (said["min"], said["max"]) == (values.min(), values.max())


def test_a_target_of_few_whole_numbers_can_be_classes_or_numbers() -> None:
    table = taken("x,y\n1,3\n2,1.0\n4,3\n").reading.table
    assert (table.numbers, table.labels, table.counts) == (True, (1, 3), (1, 2))
    table = taken("x,y\n1,3\n2,1.5\n4,3\n").reading.table
    assert (table.numbers, table.labels) == (True, ())


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    found = taken("x,y\n1,3\n2,\n4,NA\n5,4\n")
    assert found.reading.table.rows == 2
    assert report.statistics(found.reading, found.written)["rows_without_target"] == 2
    assert found.arrays["numeric"].tolist() == [[1], [5]]


def test_rows_that_are_there_twice_are_counted() -> None:
    rows = "1,a,0\n1,a,0\n1.0, a,0\n1,a,1\n,a,0\n,a,0\n2,b,0\n3,b,0\n"
    assert taken("x,c,y\n" + rows).written.duplicates == 3


def test_a_table_of_many_rows_takes_no_memory_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ingestion.csv_reader.BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr("app.ingestion.array_writer.COMPARED_ROWS", 1 << 14)
    rows = 2_000_000
    file = io.BytesIO(b"x,y\n" + b"1,2\n1,3\n" * (rows // 2))
    reading = read(file, RequestedDialect("y"), Bounds())
    with tempfile.NamedTemporaryFile() as to:
        tracemalloc.start()
        try:
            written = write(file, reading, Bounds(), to)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert written.duplicates == rows - 2
    assert most < 8 * rows / 2, "half of a number for each"


@pytest.mark.parametrize("part", [1, 2, 3, 7, 8, 9, 100])
def test_rows_are_compared_across_the_ends_of_parts(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ingestion.array_writer.COMPARED_ROWS", part)
    for text in ("", "a", "aa", "aab", "abbbcdd", "aaaaaaaa", "abcdefgh", "cabacddbd"):
        hashes = np.frombuffer(text.encode(), np.uint8).astype(np.uint64)
        assert repeated(hashes) == len(text) - len(set(text))


def test_texts_that_are_no_categories_are_ignored_with_a_sentence() -> None:
    rows = "".join(f"id{i},{'x' * 300},,{i},{i % 3}\n" for i in range(150))
    found = taken("id,long,empty,x,y\n" + rows)
    assert [c.name for c in found.reading.table.columns] == ["x"]
    assert {c["name"]: (c["role"], c["kind"]) for c in report.schema(found.reading)["columns"]} == {
        "id": ("ignored", "categorical"),
        "long": ("ignored", "text"),
        "empty": ("ignored", "empty"),
        "x": ("feature", "numeric"),
        "y": ("target", "numeric"),
    }
    names = taken("id,x,y\n" + "".join(f"p{i},{i},{i % 2}\n" for i in range(20)))
    assert names.reading.notes == {
        "id": "ignored: most of its texts are different ones, so they name rows"
    }
    assert found.reading.notes == {
        "id": "ignored: 150 distinct texts are more than the 100 that a category may have",
        "long": "ignored: it holds texts of more than 200 characters",
        "empty": "ignored: every value is missing",
    }


# The dialect.


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_dialect_is_detected(delimiter: str, quote: str, end: str, encoding: str) -> None:
    rows = [["a, b;c", "y", "straße"], [f"{quote}p;q,r|{quote}", "1", "ä"], ["2", "2", "ö"]]
    rows[0][0] = f"{quote}a, b;c{quote}"
    text = end.join(delimiter.join(row) for row in rows)
    found = taken(text.encode(encoding), "y").reading.dialect
    assert (found.delimiter, found.quote, found.header) == (delimiter, quote, True)
    assert found.encoding == encoding.removesuffix("-sig")
    assert found.names == ("a, b;c", "y", "straße")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_bytes_that_are_no_utf8_are_read_as_western(encoding: str) -> None:
    text = "Stadt,y\nKöln,1\nMünchen,0\nDüsseldorf,1\n" * 1
    found = taken(text.encode(encoding))
    assert found.reading.dialect.encoding in ("cp1252", "latin-1")
    assert found.reading.table.columns[0].categories == ("Düsseldorf", "Köln", "München")


def test_a_stated_dialect_is_not_detected() -> None:
    found = taken("1;2\n3;4\n", "column_2", delimiter=";", header=False)
    assert found.arrays["target"].tolist() == [2, 4]
    assert taken("2019,2020\n1,2\n3,4\n", "2020", header=True).arrays["target"].tolist() == [2, 4]


def test_without_a_header_columns_are_numbered() -> None:
    found = taken("5.1,a\n4.9,b\n", "column_2")
    assert found.reading.dialect.names == ("column_1", "column_2")
    assert found.reading.table.rows == 2


def test_line_ends_and_delimiters_inside_quotes_belong_to_the_value() -> None:
    found = taken('c,y\n"two\nlines, ""quoted""",1\nb,2\n')
    assert found.reading.table.columns[0].categories == ("b", 'two\nlines, "quoted"')


def test_formulas_are_data() -> None:
    found = taken('c,y\n=1+1,1\n"@SUM(A1)",2\n-cmd|x,1\n')
    assert found.reading.table.columns[0].categories == ("-cmd|x", "=1+1", "@SUM(A1)")


# What is refused.


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", "empty_file", "the file is empty"),
        ("\n \r\n\n", "empty_file", "the file is empty"),
        ("x,y", "no_rows", "the file has a header and no row"),
        ("x,y\n\n", "no_rows", "the file has a header and no row"),
        ("x,y\n1,2\n3\n", "ragged_row", "line 3: has 1 field, but the header has 2"),
        ("x,y\n\n1,2\n3,4,5\n", "ragged_row", "line 4: has 3 fields, but the header has 2"),
        ('x,y\n"a\nb",2\n3,4,5\n', "ragged_row", "line 4: has 3 fields, but the header has 2"),
        ("x,y\n1,2\n\0,4\n", "nul_byte", "line 3: holds a NUL byte, so it is no text"),
        ("x,x,y\n1,2,3\n", "duplicate_column", "line 1: two columns have the name `x`"),
        ("x,y\n1,\n2,NA\n", "target_missing", "`y` has no value in any row"),
        ("x,y\n1,a\n2,a\n", "one_class", "`y` has one class only, `a`"),
        (
            "x,y\n1,7\n2,7\n",
            "one_class",
            "`y` is the same in every row: there is nothing to learn",
        ),
        ("x,y\n1,2\ninf,3\n", "not_finite", "line 3: `x` is not a finite number up to 3.40e+38"),
        ("x,y\n1,2\n1,1e39\n", "not_finite", "line 3: `y` is not a finite number up to 3.40e+38"),
        ("y\n1\n2\n", "no_features", "no column but the target can be used."),
        (
            'x,y\n1,2\n2,"3\n4,5\n',
            "unclosed_quote",
            'line 3: a quote (") is opened here or below and never closed',
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(
    text: str, code: str, sentence: str
) -> None:
    assert refused(text) == (code, sentence)


def test_a_column_that_does_not_exist_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownColumn, match="there is no column `yy`: did you mean `y`"):
        taken("x,y\n1,2\n2,3\n", "yy")
    with pytest.raises(UnknownColumn, match="there is no column `age`: there are x, y"):
        taken("x,y\n1,2\n2,3\n", ignore=frozenset({"age"}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"x,y\n\xc3\xa4,1\n\xff,2\n", "line 3: byte 0xff at offset 9 is not utf-8"),
        ("x,y\nä,1\n".encode("utf-16")[:-1], "line 2: byte 0x0a at offset 16 is not utf-16"),
    ],
)
def test_bytes_of_another_encoding_are_told_with_line_and_offset(
    content: bytes, sentence: str
) -> None:
    code, said = refused(content)
    assert (code, said.partition(":")[0]) == ("wrong_encoding", sentence.partition(":")[0])
    assert said.startswith(sentence)


def test_a_stated_encoding_is_held_to() -> None:
    text = "x,y\nKöln,1\nb,2\n".encode("cp1252")
    assert refused(text, encoding="utf-8")[1].startswith("line 2: byte 0xf6 at offset 5 is not")


def test_what_is_too_large_is_refused_where_it_becomes_so() -> None:
    wide = ",".join(f"c{i}" for i in range(2_001)) + "\n"
    assert refused(wide)[1] == "line 1: has more than the 2000 columns allowed"
    long = "x,y\n1,2\n" + "a" * 1_000_001 + ",3\n"
    assert refused(long) == ("line_too_long", "line 3: is longer than the 1000000 bytes allowed")
    text = "c,d,y\n" + "".join(f"{i % 9}a,{i % 9}b,{i % 2}\n" for i in range(9))
    with pytest.raises(BadFile, match="its columns are 18 inputs, a category each"):
        taken(text, bounds=Bounds(features=17))
    many = "x,y\n" + "".join(f"{i},c{i}\n" for i in range(1_001))
    assert refused(many)[1] == "`y` has more than 1000 distinct texts: no classes"


# The decimal comma.


def test_numbers_with_a_decimal_comma_are_numbers_where_no_comma_is_between_cells() -> None:
    found = taken("size;price;y\n1;3,5;-0,5\n2; ,25 ;1\n3;NA;2,5e1\n")
    assert {c.name: c.kind for c in found.reading.table.columns} == dict.fromkeys(
        ("size", "price"), "numeric"
    )
    np.testing.assert_equal(found.arrays["numeric"], [[1, 3.5], [2, 0.25], [3, np.nan]])
    assert found.arrays["target"].tolist() == [-0.5, 1, 25]
    assert report.source(found.reading, 0, "")["decimal"] == ","
    notes = {c["name"]: c["note"] for c in report.schema(found.reading)["columns"]}
    sentence = "its numbers were read with a decimal comma"
    assert notes == {"size": None, "price": sentence, "y": sentence}
    said = report.statistics(found.reading, found.written)["columns"]["price"]
    assert (said["min"], said["max"]) == (0.25, 3.5)


def test_a_column_is_of_one_kind_of_decimal_in_all_of_its_blocks() -> None:
    whole = "1;x\n" * 1_500_000  # more than a block
    found = taken(f"a;y\n{whole}2,5;y\n{whole}")
    assert found.arrays["numeric"].sum() == 3_000_002.5
    points = "1.5;1;x\n" * 800_000
    mixed = taken(f"a;b;y\n{points}2,5;1;y\n").reading
    assert report.schema(mixed)["columns"][0]["kind"] == "categorical"
    assert report.source(mixed, 0, "")["decimal"] == "."


def test_whole_numbers_with_a_decimal_comma_can_be_classes() -> None:
    table = taken("x;y\n1;1,0\n2;2\n3;1,0\n").reading.table
    assert (table.numbers, table.labels, table.counts) == (True, (1, 2), (2, 1))


def test_without_a_header_too_a_decimal_comma_is_no_delimiter() -> None:
    found = taken("1,5;2,5\n3,5;4,5\n", "column_2")
    assert (found.reading.dialect.delimiter, found.reading.dialect.header) == (";", False)
    assert found.arrays["numeric"].tolist() == [[1.5], [3.5]]


@pytest.mark.parametrize("text", ["1.5;2,5", "1.234,5;3,5", "1,2,3;1,5", "1,5;five"])
def test_what_is_not_a_number_throughout_is_text(text: str) -> None:
    cells = "\n".join(f"{cell};{i};{i % 2}" for i, cell in enumerate(text.split(";")))
    assert taken(f"c;x;y\n{cells}\n").reading.table.columns[0].kind == "categorical"


def test_with_commas_between_cells_a_decimal_comma_is_text_and_that_is_said() -> None:
    price = "\n".join(f'"{n},5",{n % 3},{n % 2}' for n in range(101))
    note = taken(f"price,size,y\n{price}\n").reading.notes["price"]
    assert note.endswith("which numbers can have where no commas are between the columns")
    word = price.replace(",5", ",five")
    assert "comma" not in taken(f"price,size,y\n{word}\n").reading.notes["price"]
