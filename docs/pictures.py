"""Draws the README's loss curve from what the API answers.

    python -m docs.pictures

Starts an embedded service in a temporary folder, trains the digits classifier, reads every point of
its series over HTTP and writes ``docs/digits-loss.png``.
"""

import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from fallline import Client
from fallline.local.service import LocalService
from tests.specifications import DIGITS_MLP

TARGET = Path(__file__).parent / "digits-loss.png"


def main() -> None:
    """Trains, reads, draws."""
    with (
        tempfile.TemporaryDirectory(prefix="fl-pictures-") as folder,
        LocalService(Path(folder), port=0) as service,
        Client(service.url, service.key) as client,
    ):
        job = client.jobs.create(DIGITS_MLP).wait()
        loss = job.points("loss")
        validation = job.points("validation_loss")
    result = job.result or {}
    figure, axes = plt.subplots(figsize=(8, 4), dpi=120)
    axes.semilogy(
        loss.iterations, loss.values, color="#8db7e8", lw=0.8, label="loss, every iteration"
    )
    axes.semilogy(
        validation.iterations, validation.values, color="#c2452d", lw=1.8, label="validation loss"
    )
    accuracy = 100 * result["test"]["accuracy"]
    axes.set_title(
        f"digits-mlp: {len(loss.values)} iterations, {accuracy:.1f} % on test data", loc="left"
    )
    axes.set_xlabel("iteration")
    axes.set_ylabel("cross-entropy")
    axes.margins(x=0.01)
    axes.grid(alpha=0.25, which="both", lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(TARGET)


if __name__ == "__main__":
    main()
