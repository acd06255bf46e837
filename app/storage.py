"""Where bytes live: checkpoints, models and data sets, as files that are whole or absent."""

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from app.ids import new_id


class Stored(NamedTuple):
    """A file that has reached the disk: where, its hash and its length in bytes."""

    location: str
    sha256: str
    size: int


class DamagedFile(Exception):
    """The file is missing, or its content is not what was stored."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: BaseException) -> bool:
    """Whether a file could not grow: the disk is full, or a limit of the system is reached."""
    return isinstance(error, OSError) and error.errno in FULL


class Storage:
    """A folder. Locations are made here, never of a user's words."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, kind: str, content: bytes) -> Stored:
        """Stores bytes durably: write, fsync, rename, fsync of the folder, in that order."""
        name = new_id(kind)
        folder = self.root / kind / name[-2:]
        make_folder(folder)
        path, temporary = folder / name, folder / f".{name}.tmp"
        with nothing_is_left(temporary, path):
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
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
        make_folder(folder)
        with nothing_is_left(folder / name):
            try:
                (folder / name).hardlink_to(self.root / location)
            except FileNotFoundError as error:
                raise DamagedFile(f"{location} is gone") from error
            sync_folder(folder)
        return (folder / name).relative_to(self.root).as_posix()

    def spool(self) -> IO[bytes]:
        """An empty file without a name: whatever happens to this process, nothing of it is left."""
        folder = self.root / "spool"
        make_folder(folder)
        return tempfile.TemporaryFile(dir=folder)

    @contextmanager
    def draft(self, kind: str) -> Iterator["Draft"]:
        """A file to be written bit by bit, which is not there unless it is kept."""
        folder = self.root / kind
        make_folder(folder)
        path = folder / f".{new_id(kind)}.tmp"
        try:
            with path.open("x+b") as file:
                yield Draft(self.root, kind, path, file)
        finally:
            path.unlink(missing_ok=True)

    def lock(self, kind: str) -> IO[bytes]:
        """Until it is closed nobody else keeps or deletes files of this kind, in whatever process.

        Files with an address by content may have several rows: the last one takes the file along,
        and a new one must not come just then.
        """
        folder = self.root / kind
        make_folder(folder)
        lock = (folder / LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def proved(self, location: str, sha256: str) -> Path:
        """The path of a file that is too large to be read at once, proved by its hash."""
        path = self.root / location
        try:
            found = path.stat()
            content = digest_of(path, found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError as error:
            raise DamagedFile(f"{location} cannot be read") from error
        if content != sha256:
            raise DamagedFile(f"{location} is not what was stored")
        return path

    def delete(self, location: str) -> None:
        """Removes a file; one that is already gone is no error."""
        (self.root / location).unlink(missing_ok=True)

    @contextmanager
    def turn(self) -> Iterator[float | None]:
        """A turn at tidying up; ``None``: somebody else has it, on whatever machine.

        Yields what time it is by the clock of the files.
        """
        make_folder(self.root)
        with (self.root / LOCK).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = None
            else:
                os.utime(file.fileno())
                now = os.fstat(file.fileno()).st_mtime
            yield now

    def folders(self) -> Iterator[Path]:
        """Every folder that files are put into."""
        for kind in sorted(self.root.iterdir()):
            if kind.is_dir():
                yield kind
                yield from sorted(folder for folder in kind.iterdir() if folder.is_dir())

    def untouched(self, folder: Path, since: float) -> list[str]:
        """Locations of the files of a folder that were made, renamed or linked before a moment."""
        found = []
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):  # removed meanwhile
                if entry.is_file() and entry.name != LOCK and entry.stat().st_ctime < since:
                    found.append((folder / entry.name).relative_to(self.root).as_posix())
        return sorted(found)


class Draft:
    """A file that is being written."""

    def __init__(self, root: Path, kind: str, path: Path, file: IO[bytes]) -> None:
        self.root = root
        self.kind = kind
        self.path = path
        self.file = file

    def sealed(self) -> Stored:
        """Brings it to the disk; its place follows from its content."""
        self.file.flush()
        os.fsync(self.file.fileno())
        with self.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        location = f"{self.kind}/{sha256[:2]}/{sha256}"
        return Stored(location, sha256, self.path.stat().st_size)

    def keep(self, stored: Stored) -> None:
        """Gives it its place; whoever wrote the same before has the same file."""
        path = self.root / stored.location
        make_folder(path.parent)
        self.path.rename(path)
        sync_folder(path.parent)


@lru_cache(maxsize=256)
def digest_of(path: Path, inode: int, size: int, changed: int) -> str:
    """The hash of a file, found once for as long as it stays the same file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


LOCK = ".lock"


@contextmanager
def nothing_is_left(*paths: Path) -> Iterator[None]:
    """Removes what was being made when it could not be made."""
    try:
        yield
    except BaseException:
        for path in paths:
            with suppress(OSError):  # the failure at hand is the one to be heard of
                path.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """A folder that outlives a loss of power, as a file in it has to."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename durable: the folder's entry has to reach the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
