"""The folder of the data: private, and one service at a time."""

import os
import socket
import stat
from pathlib import Path

import pytest

from fallline import StartFailed
from fallline.local.home import Lock, choose_port


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "a" / "home")
    assert mode(tmp_path / "a" / "home") == 0o700
    assert mode(tmp_path / "a" / "home" / "lock") == 0o600
    lock.release()


def test_a_second_service_is_told_who_holds_the_home(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.sign("http://127.0.0.1:8000")
    with pytest.raises(StartFailed) as refused:
        Lock(tmp_path)
    assert f"at http://127.0.0.1:8000 (process {os.getpid()})" in str(refused.value)
    lock.release()


def test_a_home_that_was_given_back_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        Lock(tmp_path).release()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartFailed, match=r"file/home cannot be used: Not a directory\."):
        Lock(tmp_path / "file" / "home")


def test_port_0_is_some_free_port() -> None:
    assert choose_port("127.0.0.1", 0) > 0


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"Port {port} on 127\.0\.0\.1 cannot be used"):
            choose_port("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_one_sentence() -> None:
    with pytest.raises(StartFailed, match=r"on 192\.0\.2\.1 cannot be used"):
        choose_port("192.0.2.1", 0)
