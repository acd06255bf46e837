"""The Compose files, as far as they can be checked without an engine that runs them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from app.config import Settings
from tests.databases import ROOT

Node = Any

FILES = ("docker-compose.yml", "docker-compose.gpu.yml")
OURS = ("migrate", "api", "worker")
SETTINGS = {f"FALLLINE_{name.upper()}" for name in Settings.model_fields}
OF_COMPOSE = {"POSTGRES_PASSWORD", "GPU_COUNT"}
"""Variables of the Compose files that are no settings."""

# The keys of the Compose specification that these files use.
TOP = {"services", "networks", "volumes"}
SERVICE = {
    *("build", "image", "command", "user", "init", "restart", "stop_grace_period"),
    *("read_only", "cap_drop", "security_opt", "tmpfs", "volumes", "networks", "ports"),
    *("environment", "depends_on", "healthcheck", "logging", "deploy"),
}
HEALTH = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_healthy", "service_completed_successfully", "service_started"}


def read(name: str) -> Node:
    return yaml.safe_load((ROOT / name).read_text())


def merged(base: Node, over: Node) -> Node:
    """As Compose puts one file over another: maps merge, sequences join, the rest is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {
            key: merged(base[key], over[key])
            if key in base and key in over
            else over.get(key, base.get(key))
            for key in (*base, *(key for key in over if key not in base))
        }
    if isinstance(base, list) and isinstance(over, list):
        return base + over
    if isinstance(base, str) and isinstance(over, dict):  # `build: .` is short for its context
        return merged({"context": base}, over)
    return over


def services() -> dict[str, Node]:
    found: dict[str, Node] = read(FILES[0])["services"]
    return found


def on_gpus() -> dict[str, Node]:
    found: dict[str, Node] = merged(read(FILES[0]), read(FILES[1]))["services"]
    return found


def strings(node: Node) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize("name", FILES)
def test_a_linter_finds_nothing(name: str) -> None:
    config = YamlLintConfig("{extends: default, rules: {line-length: {max: 130}}}")
    assert [str(p) for p in linter.run((ROOT / name).read_text(), config)] == []


@pytest.mark.parametrize("variant", [services, on_gpus])
def test_every_key_is_one_of_the_specification(variant: Any) -> None:
    assert {key for name in FILES for key in read(name) if not key.startswith("x-")} <= TOP
    for name, service in variant().items():
        assert set(service) <= SERVICE, name
        assert set(service.get("healthcheck", {})) <= HEALTH
        for needed, how in service.get("depends_on", {}).items():
            assert needed in variant()
            assert how["condition"] in CONDITIONS


def test_networks_and_volumes_that_are_used_are_declared_and_the_other_way_round() -> None:
    whole = read(FILES[0])
    networks = {n for service in whole["services"].values() for n in service["networks"]}
    volumes = {v.split(":")[0] for s in whole["services"].values() for v in s.get("volumes", [])}
    assert networks == set(whole["networks"])
    assert volumes == set(whole["volumes"])


@pytest.mark.parametrize("name", ["postgres", "redis", *OURS])
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    service = on_gpus()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & set(service)
    assert "/tmp" in service["tmpfs"] or name == "redis"  # noqa: S108 -- that of the container
    if name in OURS:  # the image's own user, which test_dockerfile looks at
        assert "user" not in service
        assert service["volumes"] == ["data:/data"]
    else:
        assert service["user"] == name


def test_only_the_api_is_reachable_and_from_this_machine_alone() -> None:
    published = {name: s["ports"] for name, s in services().items() if "ports" in s}
    assert published == {"api": ["127.0.0.1:${FALLLINE_PORT:-8000}:8000"]}
    assert read(FILES[0])["networks"]["inside"] == {"internal": True}
    outside = {name for name, s in services().items() if "outside" in s["networks"]}
    assert outside == {"api"}


def test_every_variable_is_a_setting_or_explained_here() -> None:
    for name in FILES:
        whole = read(name)
        for service in whole["services"].values():
            ours = {k for k in service.get("environment", {}) if k.startswith("FALLLINE_")}
            assert ours <= SETTINGS
        asked = {v for s in strings(whole) for v in re.findall(r"\$\{(\w+)", s)}
        assert asked <= SETTINGS | OF_COMPOSE


def test_no_secret_is_written_down_and_a_missing_one_stops_the_start() -> None:
    for name in FILES:
        for text in strings(read(name)):
            for password in re.findall(r"POSTGRES_PASSWORD[^}]*\}", text):
                assert ":?" in password, f"{text} has a default or none at all"
    given = services()["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert given.startswith("${POSTGRES_PASSWORD:?")


def test_the_processes_agree_on_database_broker_and_home() -> None:
    shared = ("FALLLINE_DATABASE_URL", "FALLLINE_BROKER_URL", "FALLLINE_HOME")
    for name in shared:
        assert len({on_gpus()[service]["environment"][name] for service in OURS}) == 1
    url = services()["api"]["environment"]["FALLLINE_DATABASE_URL"]
    plain = re.sub(r"\$\{[^}]*\}", "password", url)
    settings = Settings(database_url=plain, broker_url=services()["api"]["environment"][shared[1]])
    assert "@postgres:5432/fallline" in settings.database_url
    assert settings.broker_url.startswith("redis://redis:")


def test_nothing_starts_before_what_it_needs() -> None:
    for name in ("api", "worker"):
        assert services()[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }
    assert services()["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services()["migrate"]["restart"] == "no"


def test_every_long_running_service_is_asked_how_it_is_by_what_its_image_has() -> None:
    for name, service in services().items():
        if name == "migrate":
            continue
        how, program, *_ = service["healthcheck"]["test"]
        assert how == "CMD"
        own = {"postgres": "pg_isready", "redis": "redis-cli"}.get(name, "python")
        assert program == own
        assert service["restart"] == "unless-stopped"


def test_a_worker_is_given_the_time_to_drain() -> None:
    from worker.supervision.supervisor import DRAIN_SECONDS

    assert int(services()["worker"]["stop_grace_period"].removesuffix("s")) > 2 * DRAIN_SECONDS


def test_the_overlay_gives_the_worker_gpus_and_changes_nobody_else() -> None:
    whole, plain = on_gpus(), services()
    changed = {name for name in whole if whole[name] != plain[name]}
    assert changed == {"worker"}
    worker = whole["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert worker["build"] == {
        "context": ".",
        "args": {"TORCH_INDEX_URL": "https://pypi.org/simple"},
    }
    assert worker["image"] != plain["worker"]["image"]
    assert worker["environment"]["FALLLINE_DATABASE_URL"]
