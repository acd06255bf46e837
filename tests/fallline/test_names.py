"""What others may rely on."""

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
        "StartFailed",
        "TaskFailed",
        "Tenant",
        "Unreachable",
        "WaitedEnough",
    ]
    assert all(hasattr(fallline, name) for name in fallline.__all__)


def test_the_commands_are_these() -> None:
    names = {command.callback.__name__ for command in cli.registered_commands if command.callback}
    assert names == {"up", "demo", "api", "worker", "migrate"}
