"""`start` runs `fallline up` on `home`, a folder with a short path; nothing of it is left."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fallline.up_process import Start, Up, parts


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket; pytest's tmp_path is not."""
    folder = Path(tempfile.mkdtemp(prefix="fl-up-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(folder: Path) -> Path:
    """The path of a home that does not exist yet."""
    return folder / "home"


@pytest.fixture
def start(folder: Path, home: Path) -> Iterator[Start]:
    """Starts `fallline up` on `home`, or on another; a failing test leaves no process either."""
    homes = {home}

    def up(*arguments: str, at: Path = home, **options: Any) -> Up:
        homes.add(at)
        return Up(at, folder / "out", *arguments, **options)

    yield up
    for process in [process for each in homes for process in parts(each)]:
        process.kill()
