"""The folder that a backup is: a database, files, a key, and a manifest of what they must be.

Light to import: whether a folder can be used is known before the service's own modules are read.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.storage import sync_folder

DATABASE, OBJECTS, KEY, MANIFEST = "database", "objects", "key", "manifest.json"
"""What is in it: a SQLite file or PostgreSQL's custom format, files, the first key."""


class BackupFailed(Exception):
    """A sentence for whoever asked for it."""


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def copy(source: Path, to: Path) -> None:
    """Copies a file with its mode, durably."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as old, to.open("wb") as new:
        os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode)
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())


def sha256(path: Path) -> str:
    """A file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, database: str, missing: list[str]) -> dict[str, str]:
    """Writes down what is there, so that a restore can tell a damaged backup from a good one.

    Returns the hash of each file.
    """
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in files(folder)}
    manifest: dict[str, Any] = {
        "format": 1,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": database,
        "files": hashes,
        "missing": missing,
    }
    with (folder / MANIFEST).open("w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    for inside in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_folder(inside)
    return hashes


def manifest_of(folder: Path) -> dict[str, Any]:
    """What was written down; raises ``BackupFailed`` where nothing was."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise BackupFailed(f"{folder} holds no backup") from error
    if not isinstance(manifest, dict) or manifest.get("format") != 1:
        raise BackupFailed(f"{folder} is a backup of another version of Fallline")
    return dict(manifest)


def must_be_whole(folder: Path, manifest: dict[str, Any]) -> None:
    """Raises ``BackupFailed`` unless every file is what was stored."""
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != expected:
            raise BackupFailed(f"the backup is damaged: {name} is not what was stored")
