"""`fallline demo`: what a newcomer sees first."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fallline import Prediction
from fallline.commands.demo import caption, square
from tests.databases import ROOT
from tests.fallline.processes import processes_of
from tests.servers import eventually

DEMO_SECONDS = 240.0
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class Demo:
    """The demo with a HOME of its own, and in it the folder for temporary files."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="fl-demo-")
        self.home = Path(self.folder.name, "home")
        self.temporary = self.home / "t"
        self.temporary.mkdir(parents=True)
        self.output = Path(self.folder.name, "out")
        where = {"HOME": str(self.home), "TMPDIR": str(self.temporary)}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fallline", "demo"],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **where},
            )

    def text(self) -> str:
        return self.output.read_text()

    def parts(self) -> list[psutil.Process]:
        """The processes that have its HOME."""
        return processes_of(self.home, "HOME")

    def left(self) -> list[Path]:
        """What lies in its HOME, beside the folder for temporary files."""
        return [path for path in self.home.rglob("*") if path != self.temporary]


@pytest.fixture
def demo() -> Iterator[Demo]:
    demo = Demo()
    with demo.folder:
        yield demo
        for process in demo.parts():
            process.kill()


def test_it_shows_everything_and_leaves_nothing(demo: Demo) -> None:
    assert demo.process.wait(DEMO_SECONDS) == 0, demo.text()
    text = demo.text()
    read = re.search(r"(\d+)\s+different\s+iterations", text)
    assert read, text
    assert int(read[1]) >= 10
    assert re.search(r"test +\d\.\d{4} +9\d\.\d%", text), text
    assert text.count("true ") == 5
    for n, row in enumerate(one_weight_rows(text)):
        w = 4 - 2 * 0.8**n
        assert row == pytest.approx([n, w, (w - 4) ** 2, 2 * (w - 4), -0.2 * (w - 4)], abs=2e-6)
    assert n == 9
    assert "make run" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert not CONTROL.search(text)
    assert demo.parts() == []
    assert demo.left() == []


def one_weight_rows(text: str) -> list[list[float]]:
    """The rows of the table: iteration, weight, loss, gradient, update."""
    number = r" +([-+]?\d\.\d{6})"
    rows = re.findall(rf"^ +(\d){number * 4} *$", text, re.MULTILINE)
    return [[float(number) for number in row] for row in rows]


@pytest.mark.parametrize("when", ["Starting the API", "Starting the worker"])
def test_ctrl_c_leaves_nothing(demo: Demo, when: str) -> None:
    eventually(lambda: when in demo.text(), f"{when!r} is printed", DEMO_SECONDS)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 130, demo.text()
    assert demo.text().endswith("Interrupted; nothing of the demo is left.\n")
    assert demo.parts() == []
    assert demo.left() == []


def test_an_image_is_square_however_it_is_nested() -> None:
    rows = [[float(8 * r + c) for c in range(8)] for r in range(8)]
    assert square([rows]) == square(rows) == square([v for row in rows for v in row]) == rows


def test_a_wrong_label_is_marked() -> None:
    said = Prediction(label=3, probabilities=[0.25, 0.75])
    assert caption({"target": 3}, said) == ["  true 3", "  says 3  75.0%"]
    assert caption({"target": 8}, said) == ["  true 8", "  says 3✗ 75.0%"]
