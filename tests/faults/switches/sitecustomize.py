"""Switches that exist only in tests: Python imports this first when its folder is on PYTHONPATH.

``FALLLINE_SWITCHES``: names of functions below, with commas; each breaks one thing in a process of
the service, once the module that it concerns has been imported. The service knows nothing of it.
"""

import importlib.abc
import importlib.machinery
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

SWITCHES: dict[str, tuple[str, Callable[[ModuleType], None]]] = {}


def switch(module: str) -> Callable[[Callable[[ModuleType], None]], Callable[[ModuleType], None]]:
    """Enters a switch: what is done with a module when it has been imported."""

    def enter(turn: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        SWITCHES[turn.__name__] = (module, turn)
        return turn

    return enter


@switch("worker.queue.fence")
def no_fence(fence: ModuleType) -> None:
    """A worker writes whatever its fence is."""
    vars(fence)["owned_by"] = lambda table, row_id, _: [table.id == row_id]


@switch("worker.maintenance.sweeper")
def no_sweeper(sweeper: ModuleType) -> None:
    """Nobody takes back what an expired lease holds, nor rings again."""
    sweeper.Sweeper.sweep = lambda self: None


@switch("app.broker")
def dies_before_ringing(queue: ModuleType) -> None:
    """A process ends between its COMMIT and the bell."""
    vars(queue)["notify"] = lambda name: os._exit(9)


@switch("app.database.session")
def dies_before_commit(db: ModuleType) -> None:
    """A process ends when it is about to commit a new job."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    def before_commit(session: Any) -> None:
        if any(type(row).__name__ == "Job" for row in session.new) or session.info.get("job"):
            os._exit(9)

    def after_flush(session: Any, context: Any) -> None:
        if any(type(row).__name__ == "Job" for row in session.new):
            session.info["job"] = True

    event.listen(Session, "after_flush", after_flush)
    event.listen(Session, "before_commit", before_commit)


@switch("worker.process.worker_process")
def sigterm_in_commit(child: ModuleType) -> None:
    """SIGTERM comes to a worker process and its supervisor while it commits for the nth time:
    before the database has heard of it, and again before its answer is known."""
    from sqlalchemy.engine.default import DefaultDialect

    commit, at = DefaultDialect.do_commit, int(os.environ["FALLLINE_SWITCH_AT"])
    commits = itertools.count(1)

    def do_commit(self: Any, connection: Any) -> None:
        now = next(commits) == at
        if now:
            terminate()
        commit(self, connection)  # type: ignore[no-untyped-call]
        if now:
            terminate()

    def terminate() -> None:
        for pid in (os.getpid(), parent_of(os.getppid())):
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.2)  # a handler, if there is one, runs now

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


def parent_of(pid: int) -> int:
    """The process that started another."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))


@switch("worker.process.os_process")
def elsewhere(process: ModuleType) -> None:
    """A worker is on a machine of its own: only leases tell others that it is gone."""
    here = os.environ["FALLLINE_SWITCH_ELSEWHERE"]
    vars(process)["place"] = lambda: here


class Turned(importlib.abc.Loader):
    """Loads a module as its own loader does, then turns the switch."""

    def __init__(self, loader: Any, turn: Callable[[ModuleType], None]) -> None:
        self.loader = loader
        self.turn = turn

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As its own loader does."""
        made: ModuleType | None = self.loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """The module, then the switch."""
        self.loader.exec_module(module)
        self.turn(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that a switch concerns."""

    def __init__(self, turns: dict[str, Callable[[ModuleType], None]]) -> None:
        self.turns = turns

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Only the first time."""
        turn = self.turns.pop(name, None)
        if turn is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        spec.loader = Turned(spec.loader, turn)
        return spec


chosen = [name for name in os.environ.get("FALLLINE_SWITCHES", "").split(",") if name]
turns = {SWITCHES[name][0]: SWITCHES[name][1] for name in chosen}
if turns:
    sys.meta_path.insert(0, Finder(turns))
