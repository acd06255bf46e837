"""`fallline doctor`: what could be wrong, looked at, with what to do about it."""

from __future__ import annotations

import importlib.util
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from fallline import environment
from fallline.client import Client
from fallline.commands.connection import connected
from fallline.errors import ApiError, FalllineError, StartFailed, Unreachable
from fallline.local.redis_server import program
from fallline.terminal import exit_codes
from fallline.terminal.output import Form, OutputOption, Printer, Row

OLDEST_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 1024**3
MAX_CLOCK_SKEW_SECONDS = 30.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what is there, and what to do if that is not well."""

    what: str
    found: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.remedy

    @property
    def row(self) -> Row:
        """This finding as a row of a table."""
        state = "ok" if self.well else "!!"
        cells = {"": state, "check": self.what, "found": self.found, "do": self.remedy}
        document = {"check": self.what, "ok": self.well, "found": self.found, "do": self.remedy}
        return Row(document, cells)


def doctor(output: OutputOption = Form.TABLE) -> None:
    """Look at this machine and at the service, and say what to do about each trouble."""
    findings = [*of_machine(), *of_service()]
    Printer(output).rows(finding.row for finding in findings)
    if not all(finding.well for finding in findings):
        raise typer.Exit(exit_codes.FAILED)


def of_machine() -> Iterator[Finding]:
    """What a service on this machine would need."""
    yield python()
    yield Finding("fallline", installed("fallline") or "not installed as a package")
    yield torch()
    yield redis()
    yield from folder(environment.home())


def of_service() -> Iterator[Finding]:
    """What the service says that the environment names."""
    try:
        client = connected()
    except FalllineError as error:
        yield Finding("service", str(error), "correct the variable")
        return
    with client:
        try:
            yield service(client)
            yield key(client)
            yield from parts(client)
        except Unreachable as error:
            yield Finding(
                "service",
                f"no answer at {client.url} ({error.why})",
                "start it (`fallline up`), or set FALLLINE_URL",
            )
        except FalllineError as error:
            yield Finding("service", str(error), f"see what answers at {client.url}")


def python() -> Finding:
    """The interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < OLDEST_PYTHON
    return Finding("python", found, "install Python 3.11 or newer" if old else "")


def torch() -> Finding:
    """PyTorch, which is not imported for that: it takes seconds."""
    found = installed("torch") if importlib.util.find_spec("torch") else None
    return Finding("torch", found or "missing", "" if found else "pip install torch")


def redis() -> Finding:
    """The Redis that `fallline up` would start."""
    try:
        return Finding("redis", str(program()))
    except StartFailed as error:
        return Finding("redis", "missing", str(error))


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def folder(home: Path) -> Iterator[Finding]:
    """The data folder: its disk and the mode of the key in it."""
    nearest = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    remedy = "make room, or choose another FALLLINE_HOME" if free < MIN_FREE_BYTES else ""
    yield Finding("disk", f"{free / 1024**3:.1f} GiB free for {home}", remedy)
    secret = home / "key"
    if secret.exists() and secret.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("key file", f"{secret} is open to others", f"chmod 600 {secret}")


def service(client: Client) -> Finding:
    """Whether a service answers, and whether its clock and ours agree."""
    date = client.date()
    there = parsedate_to_datetime(date).timestamp() if date else time.time()
    apart = time.time() - there
    clock = (
        "" if abs(apart) < MAX_CLOCK_SKEW_SECONDS else f"; its clock is {apart:+.0f} s behind ours"
    )
    return Finding("service", f"answers at {client.url}{clock}", "set the clocks" if clock else "")


def key(client: Client) -> Finding:
    """Whether the key opens anything."""
    try:
        client.jobs.list(limit=1)
    except ApiError as error:
        if error.status == 403:
            return Finding("key", "valid, without the scope `read`")
        if error.status != 401:
            raise  # nothing is said about the key
        return Finding(
            "key", error.detail, "set FALLLINE_API_KEY, or FALLLINE_HOME to the service's home"
        )
    return Finding("key", "valid")


REMEDIES = {
    "database": "see that it runs, and FALLLINE_DATABASE_URL",
    "broker": "see that Redis runs, and FALLLINE_BROKER_URL",
    "worker": "start one (`fallline worker`), or wait until it is warm",
}


def parts(client: Client) -> Iterator[Finding]:
    """What the service says about its own parts."""
    for name, state in client.checks().items():
        remedy = "" if state == "ok" else REMEDIES.get(name, "see the logs of the service")
        yield Finding(name, state, remedy)
