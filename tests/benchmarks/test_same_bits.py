"""What counts as equal when two work trees are compared, and what is said of a difference."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.same_bits.__main__ import report_rows
from benchmarks.same_bits.comparison import compare, judge, series_difference
from benchmarks.same_bits.contract import document_differences, read_metrics
from benchmarks.same_bits.jobs import BASES, GROUP, SPECIFICATIONS, spoken, unused_words
from benchmarks.same_bits.json_difference import differences
from benchmarks.same_bits.recording import Record, Series
from benchmarks.same_bits.scenarios import GROUP_ROW, Found, Row
from tests.databases import ROOT


def series(*values: float, first: int = 0) -> Series:
    iterations = np.arange(first, first + len(values), dtype=np.int64)
    return Series(iterations, np.array(values, dtype=np.float32))


def record(*losses: float, model: str | None = "abc", state: str = "succeeded") -> Record:
    return Record(
        {"loss": series(*losses)}, model, {"state": state}, state, len(losses), "fused", group=1
    )


def found(
    *records: Record,
    same_as: str | None = None,
    fixed_before: int | None = None,
    across: bool = True,
) -> Found:
    names = tuple(f"job_{number}" for number, _ in enumerate(records))
    return Found(Row(names, same_as, fixed_before, across), records)


def difference(first: Series, second: Series) -> Sequence[str]:
    return list(series_difference("loss", first, second))


def test_equal_series_have_no_difference_and_nan_equals_itself() -> None:
    values = (1.0, float("nan"), float("inf"), -0.0)
    assert difference(series(*values), series(*values)) == []


def test_the_first_iteration_that_differs_in_one_bit_is_named() -> None:
    after = float(np.nextafter(np.float32(0.25), np.float32(1)))
    (line,) = difference(series(1.0, 0.25, 3.0), series(1.0, after, 4.0))
    assert line == (
        "loss first differs at iteration 1: 0.25 (0x3e800000) in OLD and "
        "0.25000003 (0x3e800001) in NEW (2 differ)"
    )


def test_zero_is_not_minus_zero() -> None:
    (line,) = difference(series(0.0), series(-0.0))
    assert "0x00000000) in OLD and -0.0 (0x80000000) in NEW" in line


@pytest.mark.parametrize(
    ("first", "second", "at"),
    [
        (series(1.0, 2.0), series(1.0), "iteration 1: 2.0 (0x40000000) in OLD and nothing in NEW"),
        (series(2.0, first=1), series(1.0, 2.0), "iteration 0: nothing in OLD and 1.0"),
        (series(), series(1.0), "iteration 0: nothing in OLD"),
    ],
)
def test_a_value_that_one_side_lacks_is_a_difference(
    first: Series, second: Series, at: str
) -> None:
    (line,) = difference(first, second)
    assert at in line


def test_records_are_compared_whole() -> None:
    one = record(1.0, 2.0)
    pair = compare(one, one)
    assert (pair.values, pair.series, pair.model, pair.outcome, pair.equal) == (2, *4 * (True,))
    assert not compare(one, one._replace(model="abd")).model
    failed = compare(one, one._replace(outcome={"state": "failed"}))
    assert not failed.outcome
    assert failed.differences == ['outcome/state: "succeeded" → "failed"']
    assert not compare(one, one._replace(numerics="sequential")).numerics
    extra = one._replace(series=one.series | {"validation_loss": series(1.0)})
    assert not compare(one, extra).series
    for other in (one._replace(numerics="sequential"), extra, one._replace(model=None)):
        assert not compare(one, other).equal


def test_below_an_iteration_only_series_and_class_are_compared() -> None:
    short = record(1.0, 2.0, model=None, state="cancelled")
    pair = compare(record(1.0, 2.0, 5.0), short, 2)
    assert (pair.values, pair.equal, pair.model, pair.outcome) == (2, True, None, None)
    assert not compare(record(1.0, 3.0, 5.0), short, 2).equal


def test_what_depends_on_chance_is_compared_to_where_both_trees_are_fixed() -> None:
    old = {"row": found(record(1.0, 2.0, 3.0, 9.0), fixed_before=3)}
    new = {"row": found(record(1.0, 2.0, 8.0), fixed_before=2)}
    assert judge("row", old, new).equal
    new = {"row": found(record(1.0, 7.0, 8.0), fixed_before=2)}
    (line,) = judge("row", old, new).complaints
    assert line.startswith("loss first differs at iteration 1")


def test_a_row_must_equal_another_one_of_the_new_tree_to_its_end() -> None:
    twin = found(record(1.0, 2.0, 3.0))
    changed = found(record(1.0, 2.0, 4.0), fixed_before=2, same_as="twin")
    rows = {"twin": twin, "changed": changed}
    (line,) = judge("changed", rows, rows).complaints
    assert "iteration 2: 3.0 (0x40400000) in 'twin' and 4.0 (0x40800000) in this row" in line


def test_of_a_cancelled_job_only_what_it_recorded_must_equal_its_twin() -> None:
    cancelled = record(1.0, 2.0, model=None, state="cancelled")
    row = found(cancelled, fixed_before=2, same_as="twin")
    rows = {"twin": found(record(1.0, 2.0, 3.0)), "cancelled": row}
    assert judge("cancelled", rows, rows).equal


def test_a_row_that_is_not_compared_across_may_differ_from_the_old_tree() -> None:
    twin = found(record(1.0, 2.0))
    old = {"twin": twin, "retried": found(record(1.0, 9.0), same_as="twin", across=False)}
    new = {"twin": twin, "retried": found(record(1.0, 2.0), same_as="twin", across=False)}
    assert judge("retried", old, new).equal
    assert not judge("retried", new, old).equal


def test_a_group_names_the_job_that_differs_and_must_be_large() -> None:
    eight = [record(1.0, float(n))._replace(group=8) for n in range(16)]
    old = {GROUP_ROW: found(*eight)}
    assert judge(GROUP_ROW, old, old).numerics == "fused ×8"
    new = {GROUP_ROW: found(*eight[:2], eight[0], *eight[3:])}
    (line,) = judge(GROUP_ROW, old, new).complaints
    assert line.startswith("job 3 of 16: loss first differs at iteration 1")
    small = {GROUP_ROW: found(*(one._replace(group=4) for one in eight))}
    assert judge(GROUP_ROW, old, small).complaints == [
        "only 4 jobs were trained side by side in NEW"
    ]


def test_the_table_shows_what_differs_and_a_known_row_may(
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = {"good": found(record(1.0)), "bad": found(record(1.0))}
    new = {"good": found(record(1.0)), "bad": found(record(2.0, model="abd"))}
    assert not report_rows(old, new, set())
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == ["good", "1", "equal", "equal", "equal", "fused"]
    assert rows[2] == ["bad", "1", "DIFFERENT", "DIFFERENT", "equal", "fused"]
    assert rows[-1] == ["2", "rows,", "2", "values:", "DIFFERENT", "in", "bad"]
    assert report_rows(old, new, {"bad"})
    assert "known: loss first differs at iteration 0" in capsys.readouterr().out
    assert report_rows(old, old, set())


def test_documents_are_equal_by_their_bytes_and_differ_by_their_members() -> None:
    assert document_differences(b'{"a": 1}', b'{"a": 1}') == []
    (order,) = document_differences(b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}')
    assert "members come in another order" in order
    old, new = {"a": {"x/y": [1, 2]}, "b": 0}, {"a": {"x/y": [1, True]}, "c": 0}
    assert list(differences(old, new)) == ["/a/x~1y/1: 2 → true", "/b is gone", "/c is new"]
    many = document_differences(b'{"a": 1}', b"{%s}" % b",".join(b'"%d":0' % n for n in range(40)))
    assert (len(many), many[-1]) == (21, "… and 21 more")


def test_metrics_are_known_by_name_kind_and_labels() -> None:
    text = """# HELP asked_total Requests.
# TYPE asked_total counter
asked_total{route="/a"} 3
# TYPE seconds histogram
seconds_bucket{le="1",route="/a"} 2
seconds_bucket{le="+Inf",route="/a"} 2
seconds_count{route="/a"} 2
seconds_sum{route="/a"} 2
"""
    shown = read_metrics(text)
    assert shown["asked_total"] == {"kind": "counter", "labels": ["route"]}
    assert shown["seconds_bucket"] == {"kind": "histogram", "labels": ["le", "route"]}


def test_there_are_twenty_specifications_and_a_group_and_two_bases() -> None:
    assert len(SPECIFICATIONS) == 20
    assert len(GROUP) == 16
    assert len(BASES) == 2


def test_words_are_those_of_types_and_what_no_job_says_is_named() -> None:
    section = ["relu", {"type": "residual", "layers": [{"type": "silu", "mode": "gelu"}]}]
    assert set(spoken(section)) == {"relu", "residual", "silu"}
    kinds = ("layers", "losses", "optimizers", "schedules", "metrics", "inits", "preparations")
    catalog = {kind: list[dict[str, str]]() for kind in (*kinds, "datasets")}
    catalog["layers"] = [{"name": "relu"}, {"name": "attention"}]
    assert unused_words(catalog) == ["layers: attention"]


def test_it_reads_nothing_of_the_code_that_it_compares() -> None:
    code = """
import sys
import benchmarks.count_code, benchmarks.same_bits.__main__
print([name for name in sys.modules if name.split(".")[0] in ("app", "worker", "training")])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
