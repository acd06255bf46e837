"""A test that hangs is ended, and says where it and every other thread stood."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import ROOT

TEST = """
import threading

import pytest


def wait_for_ever():
    threading.Event().wait()


@pytest.fixture
def resource():
    yield
    print("the fixture has cleaned up")
    {teardown}


def test_it(resource):
    threading.Thread(target=wait_for_ever, daemon=True).start()
    {body}


def test_the_next_one():
    pass
"""


def outcome(tmp_path: Path, *options: str, body: str, teardown: str = "pass") -> str:
    """What `pytest` prints, as configured here, of a file whose first test hangs."""
    test = tmp_path / "test_hangs.py"
    test.write_text(TEST.format(body=body, teardown=teardown))
    configured = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    configured += ["-p", "tests.conftest", "-o", f"cache_dir={tmp_path}", "--timeout", "1"]
    command = [sys.executable, "-m", "pytest", *configured, *options, str(test)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    return done.stdout + done.stderr


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_test_that_hangs_shows_all_stacks_and_its_fixtures_clean_up(
    tmp_path: Path, processes: str
) -> None:
    text = outcome(tmp_path, "-n", processes, body="wait_for_ever()")
    assert "Timeout (>1.0s)" in text
    assert "in wait_for_ever\n    threading.Event().wait()" in text  # of the thread
    assert "the fixture has cleaned up" in text
    assert "1 failed, 1 passed" in text


def test_a_teardown_that_hangs_after_a_failure_is_ended_too(tmp_path: Path) -> None:
    text = outcome(tmp_path, body="assert False", teardown="wait_for_ever()")
    assert "Timeout (>1.0s)" in text
    assert "1 failed, 1 passed, 1 error" in text


def test_a_test_that_hears_no_signal_shows_all_stacks(tmp_path: Path) -> None:
    deaf = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); wait_for_ever()"
    )
    text = outcome(tmp_path, "-n", "1", "-o", "faulthandler_timeout=3", body=deaf)
    assert text.count("in wait_for_ever") == 2
    assert "crashed while running 'test_hangs.py::test_it'" in text
    assert "1 failed, 1 passed" in text
