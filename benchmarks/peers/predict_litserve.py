"""P10's other side: LitServe with batching.

    python predict_litserve.py PORT WEIGHTS.npz

One API process and one inference process, which is how LitServe is built (a third holds its
queues); they have all cores, where ours has one. ``decode_request`` and ``encode_response`` do as
little as they can, the batch is one tensor and one pass. Of the options that were tried at 32
connections, one run each, none was faster by more than runs differ: batches of 32 or 16, a timeout
of 1 to 5 ms (0 makes it spin and halves the rate), ZeroMQ for the answers. Moving a request between
processes is what takes the time.
"""

import sys
from typing import Any

import litserve
import numpy as np
import torch
from torch import nn

PORT, WEIGHTS = sys.argv[1:]
SCALE = 16.0


class Digits(litserve.LitAPI):  # type: ignore[misc]  # it is in the other environment
    """Labels and probabilities."""

    def setup(self, device: str) -> None:
        """The trained network."""
        torch.set_num_threads(1)
        arrays = np.load(WEIGHTS)
        (hidden, width), (classes, _) = arrays["0.weight"].shape, arrays["2.weight"].shape
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))
        self.net.load_state_dict({n: torch.from_numpy(arrays[n]) for n in self.net.state_dict()})

    def decode_request(self, request: dict[str, Any]) -> list[list[float]]:
        """The rows of one request."""
        rows: list[list[float]] = request["inputs"]
        return rows

    def batch(self, inputs: list[list[list[float]]]) -> list[list[list[float]]]:
        """Requests that are answered together."""
        return inputs

    @torch.inference_mode()
    def predict(self, requests: list[list[list[float]]]) -> list[list[dict[str, Any]]]:
        """One pass for all of them."""
        rows = [row for request in requests for row in request]
        probabilities = self.net(torch.tensor(rows) / SCALE).softmax(1)
        labels = probabilities.argmax(1).tolist()
        pairs = zip(labels, probabilities.tolist(), strict=True)
        return [
            [{"label": k, "probabilities": p} for k, p in (next(pairs) for _ in r)]
            for r in requests
        ]

    def unbatch(self, output: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """One answer a request."""
        return output

    def encode_response(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        """The document."""
        return {"model": "mlp", "version": 1, "predictions": output}


if __name__ == "__main__":
    api = Digits(max_batch_size=32, batch_timeout=0.002, api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(PORT),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
