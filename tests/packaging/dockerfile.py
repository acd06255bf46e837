"""Reads the Dockerfile: its instructions, in order, stage by stage."""

import re
from pathlib import Path
from typing import NamedTuple

from tests.databases import ROOT


class Instruction(NamedTuple):
    """``COPY app app``: its stage (0, 1 …; -1 before the first), name, and all that follows."""

    stage: int
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        return self.value.split()


def instructions(file: Path = ROOT / "Dockerfile") -> list[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    found, stage = [], -1
    for line in filter(str.strip, text.splitlines()):
        name, value = line.split(maxsplit=1)
        stage += name == "FROM"
        found.append(Instruction(stage, name, value))
    return found


def variables(instruction: Instruction) -> dict[str, str]:
    """What ``ENV A=1 B=2`` or ``ARG A=1`` sets; an ``ARG`` may have no default."""
    return {name: value for name, _, value in (word.partition("=") for word in instruction.words)}
