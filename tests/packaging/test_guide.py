"""The guides say what is: every setting with its default, commands and files that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app.config import Settings
from fallline.cli import cli
from tests.databases import ROOT

GUIDES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
ROWS: dict[str, str] = dict(
    re.findall(r"^\| `FALLLINE_(\w+)` \| (.+?) \| .+ \|$", DEPLOYMENT, re.MULTILINE)
)
IN_WORDS = {
    "database_url": "SQLite in the home",
    "broker_url": "socket in the home",
    "worker_processes": "one a CPU",
    "max_running_jobs": "four a CPU",
    "max_job_memory_bytes": "the machine's",
}


def shown(name: str, default: Any) -> str:
    if name in IN_WORDS:
        return IN_WORDS[name]
    if default == frozenset():
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_setting_is_in_the_table_with_its_default() -> None:
    settings = {
        name.upper(): shown(name, field.default) for name, field in Settings.model_fields.items()
    }
    assert settings == ROWS


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_what_a_guide_links_to_is_there(guide: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", guide.read_text()):
        if "://" not in target:
            assert (guide.parent / target).exists(), target


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_command_in_a_guide_exists(guide: Path) -> None:
    commands = set(getattr(get_command(cli), "commands", {}))
    assert "backup" in commands
    named = re.findall(r"(?:^|`)fallline ([a-z]+)", guide.read_text(), re.MULTILINE)
    assert set(named) <= commands


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_module_that_a_guide_runs_exists(guide: Path) -> None:
    for module in re.findall(r"python3? -m ([\w.]+)", guide.read_text()):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
