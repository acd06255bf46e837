"""The goals of speed, side by side: ``python -m benchmarks [P7 P9 … | P | G]``.

Without a word, all whose number begins with P. A goal that is missed is printed as missed; that a
side breaks, or that the two do not agree, ends it with exit code 1.
"""

import argparse
import importlib
import sys
import traceback
from pathlib import Path

from benchmarks import report
from benchmarks.goals import GOALS, Goal, Measured, Missing, measure

HERE = Path(__file__).parent


def stated(words: list[str]) -> list[Goal]:
    """The goals that are asked for, by number or by letter, in their order."""
    for file in sorted(HERE.glob("*.py")):
        if "\n@goal(" in file.read_text(encoding="utf-8"):
            importlib.import_module(f"benchmarks.{file.stem}")
    numbers = sorted(GOALS, key=lambda number: (number[0], int(number[1:])))
    unknown = {*words} - {*numbers} - {number[0] for number in numbers}
    if unknown:
        sys.exit(f"no such goal: {', '.join(sorted(unknown))}; there are {', '.join(numbers)}")
    return [GOALS[number] for number in numbers if {number, number[0]} & {*words}]


def main() -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("goals", nargs="*", metavar="P7", default=["P"])
    goals = stated(parser.parse_args().goals)
    before = report.machine()
    print(", ".join(f"{name} {value}" for name, value in before.items()))
    for one in goals:
        print(report.legend(one))
    print(f"\n{report.line(report.HEAD)}", flush=True)
    found, absent, broken = list[Measured](), dict[str, str](), 0
    for one in goals:
        try:
            measured = measure(one)
        except Missing as missing:
            absent[one.number] = str(missing)
            print(f"{one.number:6}  not measured: {missing}", flush=True)
        except Exception as error:  # noqa: BLE001 -- the others are measured all the same
            absent[one.number] = repr(error)
            broken += 1
            print(f"{one.number:6}  BROKEN: {error!r}", flush=True)
            traceback.print_exc()
        else:
            found.append(measured)
            print("\n".join([report.line(report.row(measured)), *report.figures(measured)]))
            sys.stdout.flush()
    print(f"\nAll rounds: {report.write(found, before, absent)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
