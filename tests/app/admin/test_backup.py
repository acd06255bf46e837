"""The drill: a service is backed up while it trains, destroyed, restored, and goes on."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from app.admin import database_dump
from tests.app.talk import DIGITS, FOR_EVER, Document, job, losses, posted, trained
from tests.databases import ROOT, Database, Postgresql
from tests.servers import eventually
from tests.service import Service

ROW = [[0.0] * 64]
DIGITS_KEPT = DIGITS | {"checkpoint_every_seconds": 0}


@pytest.fixture
def programs(database: Database) -> str:
    """A PATH on which PostgreSQL's own programs are."""
    if isinstance(database, Postgresql):
        return f"{database.server.programs}{os.pathsep}{os.environ['PATH']}"
    return os.environ["PATH"]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(programs: str) -> Run:
    """A command of ours, as an operator types it."""

    def fallline(service: Service, *words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fallline", *map(str, words)]
        env = service.env | {"PATH": programs}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    return fallline


def destroy(service: Service, database: Database) -> None:
    """The machine is lost: every process, the home, the database."""
    for process in list(service.processes):
        service.processes.remove(process)
        process.kill()
    eventually(lambda: not service.tree(), "every process is gone")
    for path in service.home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    name = Path(str(make_url(service.database_url).database)).stem
    database.drop(name)
    assert database.create(name) == service.database_url


def known(service: Service, job_id: str) -> Iterator[tuple[str, Document]]:
    """What a client can know of a finished job."""
    for path in (
        "",
        "/metrics?series=loss,validation_loss",
        "/iterations/33?parameters=0.bias,0.weight[3,40]",
        "/examples?split=test&limit=3",
    ):
        answer = service.http.get(f"/v1/jobs/{job_id}{path}")
        assert answer.status_code == 200, answer.text
        yield path, answer.json()
    (dataset,) = service.http.get("/v1/datasets").json()["data"]
    answer = service.http.get(f"/v1/datasets/{dataset['id']}/preview")
    assert answer.status_code == 200, answer.text
    yield "preview", answer.json()
    asked: dict[str, Any] = {"inputs": ROW, "outputs": ["logits"]}
    answer = service.http.post("/v1/models/digits-linear/predict", json=asked)
    assert answer.status_code == 200, answer.text
    yield "predict", answer.json()


def upload(service: Service, table: bytes) -> None:
    """A data set."""
    kind = {"Content-Type": "text/csv"}
    answer = service.http.post("/v1/datasets?name=table&target=b", content=table, headers=kind)
    assert answer.status_code == 201, answer.text


def test_a_service_that_was_destroyed_goes_on_from_its_backup(
    own_service: Callable[..., Service], database: Database, run: Run, tmp_path: Path
) -> None:
    service = own_service(lease_seconds=4, heartbeat_seconds=1, sweep_seconds=1)
    finished = trained(service, DIGITS_KEPT)["id"]
    upload(service, b"a,b\n1,2\n3,4\n5,7\n")
    before = dict(known(service, finished))
    assert before["/iterations/33?parameters=0.bias,0.weight[3,40]"]["exact"] is True
    running = posted(service, FOR_EVER, checkpoint_every_seconds=1)
    eventually(
        lambda: job(service, running)["progress"]["iteration"] > 1000, "it trains", within=60
    )
    read = losses(service, running)

    saved = run(service, "backup", tmp_path / "saved")
    assert saved.returncode == 0, saved.stderr
    assert saved.stderr == ""
    key = service.key
    destroy(service, database)

    restored = run(service, "restore", tmp_path / "saved")
    assert restored.returncode == 0, restored.stderr
    service.migrate()
    assert service.key == key
    service.start_api()
    assert dict(known_without_a_worker(service, finished)).items() <= before.items()
    service.start_worker()
    service.wait_ready()
    assert dict(known(service, finished)) == before
    eventually(
        lambda: job(service, running)["progress"]["iteration"] > len(read) + 100,
        "the job that was running goes on",
        within=60,
    )
    assert losses(service, running)[: len(read)] == read
    assert service.http.post(f"/v1/jobs/{running}/cancel").status_code == 202


def known_without_a_worker(service: Service, job_id: str) -> Iterator[tuple[str, Document]]:
    """Of the same, what the API answers alone."""
    answer = service.http.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    yield "", answer.json()


def test_what_comes_while_the_database_is_copied_is_no_part_of_the_copy(
    api: Service, programs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", programs)
    posted(api, FOR_EVER, name="before-the-copy")
    copy = database_dump.run_postgresql

    def copy_late(*words: Any) -> None:
        posted(api, FOR_EVER, name="during-the-copy")
        copy(*words)

    monkeypatch.setattr(database_dump, "run_postgresql", copy_late)
    database_dump.Database(api.database_url).snapshot(tmp_path / "database")
    assert b"before-the-copy" in content_of(tmp_path / "database")
    assert b"during-the-copy" not in content_of(tmp_path / "database")


def content_of(copied: Path) -> bytes:
    """What a copy of a database says of its jobs."""
    if copied.read_bytes().startswith(b"SQLite"):
        with closing(sqlite3.connect(copied)) as database:
            return repr(database.execute("SELECT name FROM jobs").fetchall()).encode()
    program = shutil.which("pg_restore")
    assert program
    command = [program, "--data-only", "--table=jobs", "--file=-", str(copied)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_nothing_is_overwritten(api: Service, run: Run, tmp_path: Path) -> None:
    posted(api, FOR_EVER)
    assert run(api, "backup", tmp_path / "saved").returncode == 0
    again = run(api, "backup", tmp_path / "saved")
    assert again.returncode == 1
    assert "is already there" in again.stderr
    restored = run(api, "restore", tmp_path / "saved")
    assert restored.returncode == 1
    assert restored.stderr == (
        "nothing was restored: the database is not empty; nothing is ever overwritten\n"
    )


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (
            "app.admin.backup",
            "no backup was made: {} is already there; a backup goes into a new folder",
        ),
        ("app.admin.restore", "nothing was restored: {} holds no backup"),
    ],
)
def test_a_wrong_folder_is_refused_before_anything_heavy_is_imported(
    module: str, sentence: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-X", "importtime", "-m", module]
    for words, said in [
        ([tmp_path], sentence.format(tmp_path)),
        ([], f"usage: python -m {module}"),
    ]:
        done = subprocess.run(
            [*command, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        *imported, last = done.stderr.splitlines()
        assert done.returncode == 1
        assert last.startswith(said)
        names = {line.rpartition("|")[2].strip() for line in imported}
        assert "app.admin.backup_folder" in names
        assert not names & {"sqlalchemy", "pydantic", "numpy", "app.config"}


def test_no_database_is_made_by_saving_it(tmp_path: Path) -> None:
    env = {"FALLLINE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "app.admin.backup", str(tmp_path / "saved")]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unable to open database file" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_for_its_owner_alone(api: Service, run: Run, tmp_path: Path) -> None:
    assert run(api, "backup", tmp_path / "saved").returncode == 0
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "saved/key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_damaged_backup_is_refused_before_anything_is_written(
    api: Service, run: Run, tmp_path: Path
) -> None:
    assert run(api, "backup", tmp_path / "saved").returncode == 0
    with (tmp_path / "saved/database").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    refused = run(api, "restore", tmp_path / "saved")
    assert refused.returncode == 1
    assert "the backup is damaged: database is not what was stored" in refused.stderr
    refused = run(api, "restore", tmp_path)
    assert "holds no backup" in refused.stderr


def test_every_table_that_names_a_file_calls_it_location() -> None:
    """The backup copies what stands in a column of this name."""
    from app.tables import Job

    naming = {
        table.name
        for table in Job.metadata.sorted_tables
        if {"sha256", "size"} <= set(table.c.keys())
    }
    assert naming == {t.name for t in Job.metadata.sorted_tables if "location" in t.c}
    assert naming == {"checkpoints", "datasets", "model_versions"}


def test_the_backup_says_what_is_in_it(api: Service, run: Run, tmp_path: Path) -> None:
    assert run(api, "backup", tmp_path / "saved").returncode == 0
    manifest = json.loads((tmp_path / "saved/manifest.json").read_text())
    assert manifest["database"] in {"sqlite", "postgresql"}
    assert {"database", "key"} <= set(manifest["files"])
    assert manifest["missing"] == []
