"""A signal unwinds what runs, and has no say in the exit code."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fallline.local import signals
from tests.databases import ROOT

PROGRAM = """
import os, sys
from fallline import interrupts

interrupts.listen()
try:
    exec("os.kill(os.getpid(), int(sys.argv[1]))")  # a data class is made like this
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_who_catches_an_interrupt_says_how_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "program", str(int(number))]
    ended = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, check=False)
    assert ended.returncode == 7
