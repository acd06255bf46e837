"""How the code is laid out: small rooms, one name for one thing, units in the names of numbers."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "worker", "training", "fallline")
MAX_FILES = 14
MAX_NOUN_FILES = 24
ONE_NOUN_A_FILE = {"app/api/routes", "app/tables"}

SAME_NOUN = {
    "app": {
        # A route, its document and its service.
        *("catalog", "datasets", "estimate", "events", "idempotency", "jobs", "keys", "metrics"),
        *("models", "upload"),
    },
    "training": {
        # The configuration of a kind, and the functions that carry it out.
        *("datasets", "losses", "metrics", "optimizers"),
    },
    "fallline": {
        # The commands of a resource.
        *("datasets", "jobs", "keys", "models"),
    },
    "worker": set[str](),
}
UNITS = (
    *("_SECONDS", "_BYTES", "_ROWS", "_VALUES", "_COUNT", "_COUNTS", "_CHARACTERS", "_ITERATIONS"),
    *("_PARAMETERS", "_LEVELS", "_AXES", "_RATIO", "_FLOPS", "_FILES", "_LINES", "_SIZE"),
)
NO_UNIT = {
    "ENGINE_VERSION": "a version",
    "MAX_INT64": "the largest value of a type",
    "M_MMAP_THRESHOLD": "the name of glibc",
    "PR_SET_PDEATHSIG": "the name of Linux",
    "MULTIPLIERS": "constants of Philox",
    "WEYL": "constants of Philox",
    "WRITE_LOCK_BYTE": "a place in a file",
    "FLOAT4_OID": "the name of PostgreSQL",
    "FLOAT4_ARRAY_OID": "the name of PostgreSQL",
    "DEFAULT_PORT": "a port",
    "OLDEST_PYTHON": "a version",
    "CONNECTIONS": "arguments of SQLAlchemy",
    "DOTS": "the bits of Braille characters",
    "COMMON_STATUSES": "statuses of HTTP",
    "AUTHENTICATED_STATUSES": "statuses of HTTP",
    "MAX_EVENT_ID": "an identifier",
    "MAX_ITERATION": "an iteration",
    "MAX_PIXEL_VALUE": "a value",
    "NON_FINITE": "values by their names",
    "SECONDS_PER_BYTE": "its name says it",
    "FLOPS_PER_SECOND": "its name says it",
    "MAX_CELL_MAGNITUDE": "a value",
    **dict.fromkeys(
        ("FAILED", "USAGE", "JOB_FAILED", "REFUSED", "UNREACHABLE", "INTERRUPTED"), "an exit code"
    ),
}


def modules(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"]


def test_no_room_holds_many_files() -> None:
    counts = defaultdict[str, int](int)
    for package in PACKAGES:
        for path in modules(package):
            counts[path.parent.relative_to(ROOT).as_posix()] += 1
    most = {room: MAX_NOUN_FILES if room in ONE_NOUN_A_FILE else MAX_FILES for room in counts}
    assert {room: n for room, n in counts.items() if n > most[room]} == {}


def test_a_file_name_stands_twice_in_a_package_only_for_the_same_noun() -> None:
    for package in PACKAGES:
        places = defaultdict[str, list[str]](list)
        for path in modules(package):
            places[path.stem].append(path.relative_to(ROOT).as_posix())
        allowed = SAME_NOUN[package] | {"base", "__main__"}
        twice = {name: found for name, found in places.items() if len(found) > 1}
        assert {name: found for name, found in twice.items() if name not in allowed} == {}


def numbers(path: Path) -> list[str]:
    """The names at the top of a module that stand for numbers, or for tables of numbers."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and is_number(node.value):
            names += [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and node.value and is_number(node.value):
            names += [node.target.id] if isinstance(node.target, ast.Name) else []
    return names


def is_number(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=int() | float() as number):
            return not isinstance(number, bool)
        case ast.UnaryOp(operand=operand):
            return is_number(operand)
        case ast.BinOp(left=left, right=right):
            return is_number(left) and is_number(right)
        case ast.Tuple(elts=[_, *_] as parts):
            return all(map(is_number, parts))
        case ast.Dict(values=[_, *_] as parts):
            return all(map(is_number, parts))
    return False


def test_the_name_of_a_number_says_its_unit() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for package in PACKAGES
        for path in modules(package)
        for name in numbers(path)
        if not name.endswith(UNITS) and name not in NO_UNIT
    }
    assert found == set()
