"""Do two work trees train the same models, to the bit? And do they keep the same contract?

    python -m benchmarks.same_bits OLD NEW [--database postgresql|sqlite]

OLD and NEW are folders with a checkout; they may be the same. One after the other each starts
`fallline up` with its own code, a home and a port of its own, and trains the same jobs (`jobs`):
alone and as a group, forked, retried, paused, changed and killed (`scenarios`). Compared are every
value of every series as raw float32, the SHA-256 of every model, how every job ended, and the
numerics class; and what a client sees beside jobs: the OpenAPI document, the catalogue, statuses
and codes of refusals, names and labels of the metrics.

Printed is a row a job, and below it the first iteration that differs. The exit code is 0 where all
is equal, 1 where something differs (with `--allow-contract-changes`: something of a job), and 2
where a tree could not be compared at all. `--known ROW` reports a row and lets it differ.
A tree takes about three minutes of processor time. Both are run on one machine, because another
processor may compute other bits.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import httpx2

from benchmarks.same_bits.comparison import Verdict, judge
from benchmarks.same_bits.contract import Contract, contract_differences, read_contract
from benchmarks.same_bits.jobs import unused_words
from benchmarks.same_bits.scenarios import Found, play
from benchmarks.same_bits.service import Broken, Service, database

HEAD = ("specification", "values", "losses", "model", "outcome", "class", "within NEW")
WIDTHS = (42, 8, 10, 10, 10, 12, 0)


class Tree(NamedTuple):
    """What a work tree has shown."""

    rows: dict[str, Found]
    contract: Contract


def observe(folder: Path, database_kind: str) -> Tree:
    """Start a tree's service, train everything with it, and stop it."""
    began = time.monotonic()
    print(f"training with {folder.resolve()} …", end=" ", flush=True)
    try:
        with database(database_kind) as url, Service(folder, url) as service:
            rows = play(service)
            contract = read_contract(service, succeeded(rows))
    except (httpx2.TransportError, AssertionError) as error:
        raise Broken(f"{folder}: {error!r}") from error
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    unused = unused_words(json.loads(contract.documents["/v1/catalog"]))
    if unused:
        raise Broken(f"no job says these words of its catalogue: {', '.join(unused)}")
    return Tree(rows, contract)


def succeeded(rows: dict[str, Found]) -> str:
    """The id of a job that has left a model; raises `Broken` without one."""
    for found in rows.values():
        for job_id, record in zip(found.row.jobs, found.records, strict=True):
            if record.model is not None:
                return job_id
    raise Broken("no job has left a model")


def report_rows(old: dict[str, Found], new: dict[str, Found], known: set[str]) -> bool:
    """Print the table; returns whether every row is as it should be."""
    print(line(HEAD))
    verdicts = {name: judge(name, old, new) for name in new}
    for name, verdict in verdicts.items():
        print(line(cells(name, verdict)))
        for complaint in verdict.complaints:
            print(f"    {'known: ' if name in known else ''}{complaint}")
    wrong = [name for name, verdict in verdicts.items() if not verdict.equal and name not in known]
    values = sum(verdict.values for verdict in verdicts.values())
    print(f"\n{len(verdicts)} rows, {values} values: ", end="")
    print(f"DIFFERENT in {', '.join(wrong)}" if wrong else "equal")
    return not wrong


def cells(name: str, verdict: Verdict) -> tuple[str, ...]:
    """A row of the table."""
    across, within = verdict.across, ""
    compared = (across.series, across.model, across.outcome) if across else (None, None, None)
    if verdict.within is not None:
        within = f"{'equal to' if verdict.within.equal else 'DIFFERENT from'} {verdict.same_as}"
    return (
        name,
        str(verdict.values),
        *map(word, compared),
        verdict.numerics,
        within,
    )


def word(equal: bool | None) -> str:
    """A cell; a dash where nothing was compared."""
    return "–" if equal is None else "equal" if equal else "DIFFERENT"


def line(written: tuple[str, ...]) -> str:
    """A line of the table."""
    padded = (cell.ljust(width) for cell, width in zip(written, WIDTHS, strict=True))
    return "  ".join(padded).rstrip()


def report_contract(old: Contract, new: Contract) -> bool:
    """Print how each part of the contract compares; returns whether all of it is equal."""
    print("\ncontract")
    found = contract_differences(old, new)
    for part, differences in found.items():
        print(f"  {part}: {'DIFFERENT' if differences else 'equal'}")
        for difference in differences:
            print(f"    {difference}")
    return not any(found.values())


def main() -> int:
    """Compare two trees; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_bits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--allow-contract-changes", action="store_true")
    parser.add_argument("--known", action="append", default=[], metavar="ROW")
    asked = parser.parse_args()
    for tree in (asked.old, asked.new):
        if not (tree / "fallline").is_dir():
            parser.error(f"{tree} is no checkout: it has no folder fallline")
    try:
        old, new = (observe(tree, asked.database) for tree in (asked.old, asked.new))
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 2
    equal = report_rows(old.rows, new.rows, set(asked.known))
    same_contract = report_contract(old.contract, new.contract)
    return 0 if equal and (same_contract or asked.allow_contract_changes) else 1


if __name__ == "__main__":
    sys.exit(main())
