"""The folder of what lives only while the service runs."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fallline import StartFailed
from fallline.local.run_folder import RunFolder, fits, is_private


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a path short enough for a socket; pytest's tmp_path is not."""
    with tempfile.TemporaryDirectory(prefix="fl-") as folder:
        yield Path(folder)


@pytest.fixture
def deep(home: Path) -> Path:
    """A home whose path is too long for a socket."""
    folder = home / ("x" * 110)
    folder.mkdir()
    return folder


@pytest.mark.parametrize("path", ["/" + "x" * 103, "/with space", "/100%", "/a#b", "/a?b"])
def test_a_long_or_odd_path_cannot_hold_sockets(path: str) -> None:
    assert not fits(Path(path))


def test_it_lies_in_the_home_and_is_private(home: Path) -> None:
    run = RunFolder(home)
    assert run.socket == home / "run" / "redis.sock"
    assert is_private(home / "run")
    run.remove()
    assert list(home.iterdir()) == []


def test_a_long_home_gets_a_private_folder_elsewhere_that_is_removed(deep: Path) -> None:
    run = RunFolder(deep)
    assert fits(run.path)
    assert is_private(run.path)
    run.remove()
    assert not run.path.exists()
    assert list(deep.iterdir()) == []


def test_what_a_killed_service_left_is_removed(home: Path, deep: Path) -> None:
    for each in (home, deep):
        left = RunFolder(each)
        left.socket.touch()
        again = RunFolder(each)
        assert list(again.path.iterdir()) == []
        assert left.path == again.path or not left.path.exists()
        again.remove()


def test_a_folder_that_others_can_enter_is_not_ours_to_remove(deep: Path, home: Path) -> None:
    (home / "open").mkdir(mode=0o755)
    (deep / "run").symlink_to(home / "open")
    run = RunFolder(deep)
    assert run.path != home / "open"
    run.remove()
    assert (home / "open").exists()


def test_what_is_deleted_of_it_is_made_again(home: Path, deep: Path) -> None:
    for each in (home, deep):
        run = RunFolder(each)
        shutil.rmtree(run.path)
        run.restore()
        assert is_private(run.path)
        if (each / "run").is_symlink():
            (each / "run").unlink()
            run.restore()
        assert (each / "run").resolve() == run.path
        run.remove()
        assert not run.path.exists()


def test_a_socket_that_was_left_is_removed(home: Path) -> None:
    run = RunFolder(home)
    run.clear_socket()
    run.socket.touch()
    run.clear_socket()
    assert not run.socket.exists()


def test_no_socket_is_made_in_a_folder_that_others_can_enter(home: Path) -> None:
    run = RunFolder(home)
    run.path.chmod(0o755)
    with pytest.raises(StartFailed, match=f"{run.path} is not private to you any more"):
        run.clear_socket()
