"""The image, as far as it can be checked without an engine that builds it."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from app.config import Settings
from tests.databases import ROOT
from tests.packaging.dockerfile import Instruction, instructions, variables

IMAGE = instructions()
LAST = max(step.stage for step in IMAGE)
KNOWN = {
    *("FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "CMD"),
}
SETTINGS = {f"FALLLINE_{name.upper()}" for name in Settings.model_fields}


def named(name: str, stage: int | None = None) -> list[Instruction]:
    return [s for s in IMAGE if s.name == name and stage in (None, s.stage)]


def from_here() -> list[Instruction]:
    """The copies from the build context."""
    return [step for step in named("COPY") if not step.value.startswith("--from")]


def test_every_instruction_is_known_and_none_fetches_from_the_network() -> None:
    assert {step.name for step in IMAGE} <= KNOWN  # ADD, which fetches and unpacks, is none of them
    for step in named("RUN"):
        assert not re.search(r"\b(curl|wget|git|apt-get)\b", step.value), step


def test_it_is_built_in_one_stage_and_runs_in_another() -> None:
    bases = [step.words for step in named("FROM")]
    assert [words[1:] for words in bases] == [["AS", "build"], []]
    assert {words[0] for words in bases} == {"python:${PYTHON_VERSION}-slim"}
    assert [step.value for step in named("COPY", LAST)] == [
        "--from=build /opt/fallline /opt/fallline"
    ]


def test_the_python_of_the_image_is_one_that_the_project_takes() -> None:
    (version,) = [variables(s)["PYTHON_VERSION"] for s in named("ARG", -1)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_every_file_that_is_copied_exists_and_reaches_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {source for step in from_here() for source in step.words[:-1]}
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in let_in, f"{source} is ignored"
    assert let_in == copied


def test_what_is_private_or_large_never_reaches_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for name in (".git", ".venv", ".env", "key", "tests", "docs", "docker-compose.yml"):
        assert not [pattern for pattern in let_in if fnmatch(name, pattern)], name


def test_every_package_of_the_project_is_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {step.words[-1] for step in from_here()}
    assert set(packages) <= copied
    wanted = {project["project"]["readme"], *project["project"]["license-files"]}
    assert wanted <= {source for step in from_here() for source in step.words[:-1]}


def test_pytorch_comes_first_from_the_index_that_the_build_argument_names() -> None:
    assert (ROOT / "requirements.lock").read_text().startswith("torch==")
    installs = [step.value for step in named("RUN") if " install " in step.value]
    pip = [value for value in installs if "/bin/pip" in value]
    assert '--index-url "$TORCH_INDEX_URL" "$(head -n 1 requirements.lock)"' in pip[0]
    arguments = {name: v for s in named("ARG", 0) for name, v in variables(s).items()}
    assert arguments["TORCH_INDEX_URL"] == "https://download.pytorch.org/whl/cpu"
    assert all(url.startswith("https://") for url in arguments.values())


def test_it_runs_as_a_user_of_its_own() -> None:
    (user,) = named("USER")
    assert user.stage == LAST
    assert int(user.value) >= 10_000
    after = IMAGE[IMAGE.index(user) + 1 :]
    assert {step.name for step in after} <= {"WORKDIR", "VOLUME", "EXPOSE", "CMD"}
    made = next(step.value for step in named("RUN", LAST) if "useradd" in step.value)
    assert f"--uid {user.value} " in made
    assert "nologin" in made


def test_nothing_but_its_data_belongs_to_that_user() -> None:
    owned = [step.value for step in IMAGE if "--owner" in step.value or "chown" in step.value]
    assert owned == ["install --directory --owner=fallline --mode=0700 /data"]
    assert [step.value for step in named("VOLUME")] == ["/data"]


def test_every_setting_in_it_is_one_that_the_service_knows() -> None:
    given = {name: v for step in named("ENV") for name, v in variables(step).items()}
    ours = {name for name in given if name.startswith("FALLLINE_")}
    assert ours <= SETTINGS
    assert given["FALLLINE_HOME"] == "/data"
    assert not [name for name in given if re.search("PASSWORD|SECRET|KEY|TOKEN", name)]


@pytest.mark.parametrize("line", ["ADD https://example.org/x /x", "RUN curl https://example.org"])
def test_the_rules_see(line: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"# a comment\nFROM python AS build\n{line}\n")
    (_, step) = instructions(tmp_path / "Dockerfile")
    assert step.stage == 0
    assert step.name not in KNOWN or re.search(r"\bcurl\b", step.value)
