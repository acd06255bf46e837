"""Where the service and its key are looked for."""

from pathlib import Path

import pytest

from fallline import FalllineError, environment


def test_the_home_is_a_hidden_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert environment.home() == Path("/home/somebody/.fallline")


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FALLLINE_HOME", "data")
    assert environment.home() == tmp_path / "data"


def test_host_and_port_make_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.url() == "http://127.0.0.1:8000"
    monkeypatch.setenv("FALLLINE_HOST", "10.0.0.7")
    monkeypatch.setenv("FALLLINE_PORT", "9000")
    assert environment.url() == "http://10.0.0.7:9000"


def test_a_whole_address_goes_before_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_PORT", "9000")
    monkeypatch.setenv("FALLLINE_URL", "https://fallline.example.org/")
    assert environment.url() == "https://fallline.example.org"


def test_a_service_on_every_address_is_reached_on_loopback() -> None:
    assert environment.address("0.0.0.0", 1) == "http://127.0.0.1:1"  # noqa: S104 (only a name here)
    assert environment.address("::", 1) == "http://[::1]:1"


def test_a_port_that_is_no_number_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_PORT", "http")
    with pytest.raises(FalllineError, match="FALLLINE_PORT is 'http'"):
        environment.url()


def test_the_key_is_the_environments_before_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FALLLINE_HOME", str(tmp_path))
    assert environment.key() is None
    (tmp_path / "key").write_text("from-file\n")
    assert environment.key() == "from-file"
    monkeypatch.setenv("FALLLINE_API_KEY", "from-environment")
    assert environment.key() == "from-environment"


def test_the_version_at_the_end_of_an_address_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FALLLINE_URL", "http://127.0.0.1:8000/v1/")
    assert environment.url() == "http://127.0.0.1:8000"


def test_an_address_without_its_scheme_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_URL", "127.0.0.1:8000")
    with pytest.raises(FalllineError, match="http:// or https:// is missing"):
        environment.url()
