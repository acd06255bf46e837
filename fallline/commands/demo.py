"""`fallline demo`: the whole service in half a minute, over HTTP, in a temporary folder.

It trains a classifier of handwritten digits and watches it, asks the model about images that did
not train it, and then goes through a job of one weight, iteration by iteration.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from fallline.client import Client
from fallline.errors import FalllineError
from fallline.local.service import LocalService
from fallline.resources.job import Job
from fallline.terminal.images import beside, picture
from fallline.terminal.plot import curve
from fallline.terminal.screen import Screen
from fallline.types import Points, Prediction

DIGITS: Mapping[str, Any] = {
    "name": "digits-mlp",
    "dataset": "digits",
    "split": {"validation": 0.1, "test": 0.2, "seed": 0},
    "model": [
        {"type": "linear", "out_features": 64},
        "relu",
        {"type": "linear", "out_features": 10},
    ],
    "loss": "cross_entropy",
    "metrics": ["accuracy"],
    "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
    "batch_size": 64,
    "iterations": 40_000,
    "seed": 0,
}

ONE_WEIGHT: Mapping[str, Any] = {
    "name": "one-weight",
    "dataset": {"x": [[1.0]], "y": [[4.0]]},
    "model": [
        {
            "type": "linear",
            "out_features": 1,
            "bias": False,
            "init": {"type": "constant", "value": 2.0},
        }
    ],
    "loss": "mse_loss",
    "optimizer": {"type": "sgd", "lr": 0.1},
    "batch_size": "full",
    "iterations": 10,
}

POLL_SECONDS = 0.03
PICTURE_CHARACTERS = 16
MAX_PIXEL_VALUE = 16

NEXT = """\
   make run       start the service and stay; it prints its URL and a key. Then:

   curl -H "Authorization: Bearer $(cat ~/.fallline/key)" \\
        -H "Content-Type: application/json" http://127.0.0.1:8000/v1/jobs \\
        -d '{"dataset": "iris", "loss": "cross_entropy",
             "model": [{"type": "linear", "out_features": 3}],
             "optimizer": {"type": "sgd", "lr": 0.1},
             "batch_size": "full", "iterations": 200}'

   README.md      the whole use, the states of a job, and where to go from there"""


def run(console: Console) -> None:
    """Run the demo; nothing of it is left, however it ends. Raises `FalllineError`."""
    screen = Screen(console)
    screen.title("Fallline: training as a service")
    with tempfile.TemporaryDirectory(prefix="fallline-demo-") as folder:
        screen.heading("A service of its own, in a temporary folder")
        began = time.monotonic()
        service = LocalService(Path(folder), port=0, settings={}, report=screen.say)
        with service, Client(service.url, service.key) as client:
            screen.say(f"{service.url} is ready after {time.monotonic() - began:.1f} s.")
            try:
                acts(client, service, screen)
            except FalllineError as error:
                # The logs are about to go with the folder.
                raise FalllineError(f"{error}\n{service.last_words()}") from error
    screen.say("The service has stopped and its folder is gone.")


def acts(client: Client, service: LocalService, screen: Screen) -> None:
    """What the demo shows of a running service."""
    show_digits(client, service, screen)
    show_one_weight(client, screen)
    screen.heading("What to try next")
    screen.lines([*NEXT.splitlines(), ""])


def show_digits(client: Client, service: LocalService, screen: Screen) -> None:
    """Train the classifier in view, then look at what came out."""
    screen.heading("Train a classifier of handwritten digits: POST /v1/jobs")
    job, losses = train(client, service, screen)
    screen.heading("Its loss at every iteration: GET /v1/jobs/{id}/metrics")
    screen.lines(curve(losses.iterations, losses.values, width=76, height=12))
    screen.heading("How good it is: the job's result")
    screen.table(["data", "loss", "accuracy"], result_rows(job))
    screen.heading(f"Images that did not train it: POST /v1/models/{job.name}/predict")
    show_images(client, job, screen)


def train(client: Client, service: LocalService, screen: Screen) -> tuple[Job, Points]:
    """Post the job and read its losses while it trains; the job that succeeded, and its losses."""
    losses = Points()
    read_while_running: set[int] = set()
    posted = client.jobs.create(DIGITS)
    with screen.progress(DIGITS["iterations"]) as advance:
        for job, new in posted.follow(every=POLL_SECONDS):
            service.check()
            losses.extend(new["loss"])
            advance(len(losses.values), losses.values[-1] if losses.values else None)
            if job.state == "running":
                read_while_running.add(job.progress.iteration)
    screen.say(
        f"{len(losses.values)} losses are in the database; while the job was running, "
        f"{len(read_while_running)} different iterations of it were read."
    )
    return job.check(), losses


def result_rows(job: Job) -> list[list[str]]:
    """A row for each split: its name, loss and accuracy."""
    result = job.result or {}
    return [
        [split, f"{values['loss']:.4f}", f"{values['accuracy']:.1%}"]
        for split, values in result.items()
    ]


def show_images(client: Client, job: Job, screen: Screen) -> None:
    """Draw a few images of the test split, each over its true label and what the model says."""
    examples = job.examples(limit=screen.console.width // PICTURE_CHARACTERS)
    inputs = [example["input"] for example in examples]
    answer = client.models.predict(job.name, inputs)
    blocks = [
        [*picture(square(example["input"]), highest=MAX_PIXEL_VALUE), "", *caption(example, said)]
        for example, said in zip(examples, answer, strict=True)
    ]
    screen.lines(beside(blocks, width=PICTURE_CHARACTERS))


def square(pixels: Sequence[Any]) -> list[list[float]]:
    """An image of 64 numbers, in rows or flat, as 8 rows of 8."""
    flat = list(pixels)
    while isinstance(flat[0], list):
        flat = [value for inner in flat for value in inner]
    side = int(len(flat) ** 0.5)
    return [flat[start : start + side] for start in range(0, len(flat), side)]


def caption(example: Mapping[str, Any], said: Prediction) -> list[str]:
    """The true label, and the predicted one with its probability."""
    mark = " " if said.label == example["target"] else "✗"
    sure = max(said.probabilities or [0.0])
    return [f"  true {example['target']}", f"  says {said.label}{mark}{sure:>6.1%}"]


def show_one_weight(client: Client, screen: Screen) -> None:
    """The job of one weight, each of its iterations computed again by the service."""
    screen.heading("Gradient descent by hand: one weight, x = 1, y = 4")
    screen.say(
        "The loss is (weight·x − y)², the update −0.1 · gradient. Every number comes from "
        "GET /v1/jobs/{id}/iterations/{n}, none from a formula."
    )
    screen.lines([""])
    job = client.jobs.create(ONE_WEIGHT).wait().check()
    rows = [one_weight_row(job, n) for n in range(ONE_WEIGHT["iterations"])]
    screen.table(["iteration", "weight", "loss", "gradient", "update"], rows)


def one_weight_row(job: Job, iteration: int) -> list[str]:
    """The weight before an update, its loss and gradient, and the update."""
    state = job.iteration(iteration, parameters=["0.weight"])
    weight = state["parameters"]["0.weight"]
    numbers = [weight["value"][0][0], state["loss"], weight["gradient"][0][0]]
    return [
        str(iteration),
        *(f"{number:.6f}" for number in numbers),
        f"{weight['update'][0][0]:+.6f}",
    ]
