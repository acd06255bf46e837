"""A signal unwinds what runs, and has no say in the exit code."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fallline.local import signals
from tests.databases import ROOT
from tests.fallline.up_process import ignored

PROGRAM = """
import os, signal, sys
from fallline.local import signals

number = int(sys.argv[1])
signal.signal(number, getattr(signal, sys.argv[2]))  # however these tests were started
try:
    with signals.heard():
        exec("os.kill(os.getpid(), number)")  # a data class is made like this
except KeyboardInterrupt:
    sys.exit(7)
"""


def exit_code(number: signal.Signals, handler: str, folder: Path) -> int:
    """How the program ends that had such a handler and then heard the signal."""
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "program", str(int(number)), handler]
    env = {"PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_who_catches_an_interrupt_says_how_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    assert exit_code(number, "SIG_DFL", tmp_path) == 7


def test_ctrl_c_is_heard_by_what_a_shell_started_in_the_background(tmp_path: Path) -> None:
    assert exit_code(signal.SIGINT, "SIG_IGN", tmp_path) == 7


def test_what_nohup_started_outlives_its_terminal(tmp_path: Path) -> None:
    assert exit_code(signal.SIGHUP, "SIG_IGN", tmp_path) == 0


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_the_handlers_of_before_are_put_back(number: signal.Signals) -> None:
    with ignored(number):
        with signals.heard():
            assert (signal.getsignal(number) == signal.SIG_IGN) == (number == signal.SIGHUP)
        assert signal.getsignal(number) == signal.SIG_IGN
