"""Which processes belong to a service, whatever became of their parents."""

from pathlib import Path

import psutil


def processes_of(folder: Path, variable: str) -> list[psutil.Process]:
    """Those with `folder` in an environment variable, which children inherit, or working in it.

    Redis writes its title over its environment, but it works in the home of its service.
    """
    return [p for p in psutil.process_iter() if belongs(p, folder, variable)]


def belongs(process: psutil.Process, folder: Path, variable: str) -> bool:
    try:
        works_in = Path(process.cwd())
        named = process.environ().get(variable) == str(folder)
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return False  # gone, dead, or somebody else's
    return bool(named) or folder in (works_in, *works_in.parents)
