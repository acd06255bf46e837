"""P9's other side: the service that one writes by hand with FastAPI, pydantic and torch.

    python predict_fastapi.py PORT WEIGHTS.npz

It is the strong, simple version: uvicorn on uvloop and httptools, no access log, an ``async`` route
(a plain one would hop to a thread for every request), pydantic models for both directions (which
FastAPI serialises in Rust), inference mode, one torch thread. It has no keys, limits, request ids,
metrics, log, database or versions: everything that it does not do is time that it does not take.
"""

import sys

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from torch import nn


class Asked(BaseModel):
    """Rows of features."""

    inputs: list[list[float]]


class Prediction(BaseModel):
    """The most probable label, and the probability of each."""

    label: int
    probabilities: list[float]


class Answer(BaseModel):
    """One prediction a row."""

    model: str
    version: int
    predictions: list[Prediction]


def network(path: str) -> nn.Module:
    """The trained network; its inputs are scaled as it was trained."""
    arrays = np.load(path)
    sizes = [arrays["0.weight"].shape, arrays["2.weight"].shape]
    net = nn.Sequential(
        nn.Linear(sizes[0][1], sizes[0][0]), nn.ReLU(), nn.Linear(sizes[1][1], sizes[1][0])
    )
    net.load_state_dict({name: torch.from_numpy(arrays[name]) for name in net.state_dict()})
    return net.eval()


SCALE = 16.0
app = FastAPI()
net = network(sys.argv[2])


@app.post("/predict")
async def predict(asked: Asked) -> Answer:
    """Labels and probabilities."""
    with torch.inference_mode():
        probabilities = net(torch.tensor(asked.inputs) / SCALE).softmax(1)
        labels = probabilities.argmax(1).tolist()
    rows = zip(labels, probabilities.tolist(), strict=True)
    predictions = [Prediction(label=label, probabilities=row) for label, row in rows]
    return Answer(model="mlp", version=1, predictions=predictions)


if __name__ == "__main__":
    torch.set_num_threads(1)
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
