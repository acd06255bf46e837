"""What others may rely on."""

import typer

import fallline
from fallline.cli import cli


def test_the_public_names_are_these() -> None:
    assert fallline.__all__ == [
        "ApiError",
        "AsyncClient",
        "Client",
        "Dataset",
        "Event",
        "FalllineError",
        "Job",
        "JobError",
        "JobFailed",
        "JobRef",
        "Key",
        "Metrics",
        "Mistake",
        "Model",
        "ModelRef",
        "ModelVersion",
        "Page",
        "Points",
        "Prediction",
        "Predictions",
        "Progress",
        "Retries",
        "StartFailed",
        "TaskFailed",
        "Tenant",
        "Unreachable",
        "WaitedEnough",
    ]
    assert all(hasattr(fallline, name) for name in fallline.__all__)


def test_the_commands_are_these() -> None:
    service = {"up", "serve", "demo", "api", "worker", "migrate", "backup", "restore"}
    assert commands(cli) == service | {"predict", "doctor"}
    assert {group.name: commands(group.typer_instance) for group in cli.registered_groups} == {
        "jobs": {
            "submit",
            "validate",
            "list",
            "show",
            "watch",
            "metrics",
            "events",
            "cancel",
            "pause",
            "resume",
            "retry",
            "fork",
            "change",
            "delete",
        },
        "datasets": {"upload", "list", "show", "preview", "delete"},
        "models": {"list", "show", "download"},
        "keys": {"create", "list", "revoke"},
        "tenants": {"create", "list"},
    }


def commands(app: typer.Typer | None) -> set[str]:
    assert app
    return {
        each.name or each.callback.__name__ for each in app.registered_commands if each.callback
    }
