"""Where bytes live: checkpoints and models, as files that are whole or absent."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from app.ids import new_id


class Stored(NamedTuple):
    """A file that has reached the disk: where, its hash and its length in bytes."""

    location: str
    sha256: str
    size: int


class DamagedFile(Exception):
    """The file is missing, or its content is not what was stored."""


class Storage:
    """A folder. Locations are made here, never of a user's words."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, kind: str, content: bytes) -> Stored:
        """Stores bytes durably: write, fsync, rename, fsync of the folder, in that order."""
        name = new_id(kind)
        folder = self.root / kind / name[-2:]
        folder.mkdir(parents=True, exist_ok=True)
        path, temporary = folder / name, folder / f".{name}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(folder)
        location = path.relative_to(self.root).as_posix()
        return Stored(location, hashlib.sha256(content).hexdigest(), len(content))

    def get(self, location: str, sha256: str) -> bytes:
        """The bytes, proved by their hash; raises ``DamagedFile``."""
        try:
            content = (self.root / location).read_bytes()
        except OSError as error:
            raise DamagedFile(f"{location} cannot be read") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DamagedFile(f"{location} is not what was stored")
        return content

    def whole(self, location: str, sha256: str) -> bool:
        """Whether the bytes are there as they were stored; they may be too many to hold."""
        try:
            with (self.root / location).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def share(self, kind: str, location: str) -> str:
        """A second name for a stored file, which stays until both are deleted: files never change.

        Raises ``DamagedFile`` when it is gone.
        """
        name = new_id(kind)
        folder = self.root / kind / name[-2:]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / name).hardlink_to(self.root / location)
        except FileNotFoundError as error:
            raise DamagedFile(f"{location} is gone") from error
        sync_folder(folder)
        return (folder / name).relative_to(self.root).as_posix()

    def delete(self, location: str) -> None:
        """Removes a file; one that is already gone is no error."""
        (self.root / location).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes a rename durable: the folder's entry has to reach the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
