"""``python -m tests.faults``: the matrix, a line a fault; the exit code says whether all passed."""

import argparse
import random
import sys
import time
import traceback

from tests.databases import KINDS, Database
from tests.faults import (  # noqa: F401 -- they enter their faults
    apis,
    brokers,
    cancels,
    databases,
    deaths,
    deploys,
    disks,
    files,
    kills,
    memory,
    zombies,
)
from tests.faults.invariants import Undisturbed, check, learn
from tests.faults.plan import FAULTS, Fault
from tests.faults.world import world


def main() -> int:
    """Brings about what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="F8", help="only these (default: all)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--database", choices=[*KINDS], default="postgresql")
    parser.add_argument("--kills", type=int, help="instead: so many kill -9 in one long loop")
    parser.add_argument("--defaults", action="store_true", help="of these: not with short leases")
    asked = parser.parse_args()
    unknown = set(asked.faults) - set(FAULTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    chosen = [FAULTS[name] for name in asked.faults or sorted(FAULTS, key=number)]
    print(f"seed {asked.seed}, {asked.database}")
    if asked.kills:
        return killed(asked.database, asked.kills, asked.seed, defaults=asked.defaults)
    undisturbed: Undisturbed = {}
    with KINDS[asked.database]() as kind:
        passed = [
            run(kind, fault, random.Random(f"{asked.seed} {fault.name}"), undisturbed)
            for fault in chosen
            if asked.database in fault.kinds
        ]
    print(f"{sum(passed)} of {len(passed)} pass; seed {asked.seed}")
    return 0 if all(passed) else 1


def killed(database: str, count: int, seed: int, *, defaults: bool) -> int:
    """The long loop, and its line."""
    with KINDS[database]() as kind:
        tally = kills.loop(kind, count, seed, defaults=defaults)
    leases = "shipped defaults" if defaults else f"shortened leases: {kills.SHORT}"
    print(f"kills {'pass' if tally.clean else 'FAIL'}  {leases}\n           {tally}", flush=True)
    return 0 if tally.clean else 1


def number(name: str) -> int:
    """Of a fault."""
    return int(name[1:])


def run(kind: Database, fault: Fault, draw: random.Random, undisturbed: Undisturbed) -> bool:
    """One fault in a world of its own, and its line."""
    began = time.monotonic()
    try:
        with world(kind, workers=fault.workers, children=fault.children, **fault.settings) as there:
            learn(there, undisturbed)
            measured = fault.run(there, draw)
            check(there, undisturbed)
            resumed = [iteration for iteration in there.resumed if iteration > 0]
            if there.resumed:
                measured += f"; {len(resumed)} of {len(there.resumed)} resumed at > 0"
    except Exception as error:  # noqa: BLE001 -- the others still have their turn
        traceback.print_exc()
        measured, ok = f"{type(error).__name__}: {error}".splitlines()[0][:300], False
    else:
        ok = True
    seconds = time.monotonic() - began
    verdict = "pass" if ok else "FAIL"
    print(f"{fault.name:4} {verdict}  {fault.what}: {fault.required}", flush=True)
    print(f"           {measured} ({seconds:.0f} s)", flush=True)
    return ok


if __name__ == "__main__":
    sys.exit(main())
