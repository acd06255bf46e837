"""Jobs of a real service, as the tests of a worker's life watch them."""

from typing import Any

from sqlalchemy import select

from app.database.session import Database
from app.tables import Event, Job, ModelVersion, Worker
from tests.servers import eventually
from tests.service import Service

EPOCH = 20
"""Iterations: ceil(1258 training rows / 64)."""

CNN: dict[str, Any] = {
    "dataset": "digits",
    "split": {"validation": 0.1, "test": 0.2},
    "model": [
        {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
        "batch_norm2d",
        "relu",
        {"type": "max_pool2d", "kernel_size": 2},
        {"type": "dropout", "p": 0.25},
        {"type": "linear", "out_features": 10},
    ],
    "loss": "cross_entropy",
    "schedule": "cosine",
    "batch_size": 64,
    "iterations": 240,
    "checkpoint_every_seconds": 0,
}
OPTIMIZERS = [
    {"type": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"type": "adam", "lr": 0.003, "amsgrad": True},
    {"type": "adamw", "lr": 0.003},
]
LONG = CNN | {"optimizer": OPTIMIZERS[1], "iterations": 1200}


class Jobs:
    """Jobs of one service, over HTTP, and what only its database knows."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.database = Database(service.database_url)

    def post(self, spec: dict[str, Any]) -> str:
        answer = self.service.http.post("/v1/jobs", json=spec)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def get(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.service.http.get(f"/v1/jobs/{job_id}").json()
        return found

    def ask(self, job_id: str, verb: str) -> dict[str, Any]:
        """``pause``, ``resume`` …: the job that is answered."""
        answer = self.service.http.post(f"/v1/jobs/{job_id}/{verb}")
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def becomes(self, job_id: str, state: str) -> dict[str, Any]:
        """The job, once it is in a state."""

        def there() -> dict[str, Any] | None:
            job = self.get(job_id)
            return job if job["state"] == state else None

        return eventually(there, f"{job_id} is {state}", within=60) or {}

    def log(self, job_id: str) -> list[Event]:
        """What happened to it, in order."""
        with self.database.session(write=False) as session:
            query = select(Event).where(Event.job_id == job_id).order_by(Event.sequence)
            return list(session.scalars(query))

    def reaches(self, job_id: str, iteration: int) -> dict[str, Any]:
        """The running job, once it has come so far."""

        def there() -> dict[str, Any] | None:
            job = self.get(job_id)
            assert job["state"] in ("queued", "running"), job
            return job if job["progress"]["iteration"] >= iteration else None

        return eventually(there, f"iteration {iteration} of {job_id}", within=60) or {}

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job, once it has ended well."""

        def there() -> dict[str, Any] | None:
            job = self.get(job_id)
            return job if job["finished_at"] else None

        job = eventually(there, f"the end of {job_id}", within=120) or {}
        assert job["state"] == "succeeded", job["error"]
        return job

    def curves(self, job_id: str) -> dict[str, Any]:
        """Every recorded point."""
        names = "loss,validation_loss,validation_accuracy"
        answer = self.service.http.get(f"/v1/jobs/{job_id}/metrics", params={"series": names})
        series: dict[str, Any] = answer.json()["series"]
        return series

    def moment(self, job_id: str, n: int) -> dict[str, Any]:
        """Iteration ``n`` again."""
        answer = self.service.http.get(f"/v1/jobs/{job_id}/iterations/{n}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def assert_verified(self, job_id: str) -> None:
        """The job, trained again from its start, gives all that is recorded."""
        answer = self.service.http.post(f"/v1/jobs/{job_id}/verify")

        def answered() -> dict[str, Any] | None:
            task: dict[str, Any] = self.service.http.get(answer.headers["Location"]).json()
            return task if task["finished_at"] else None

        result = answer.json()
        if answer.status_code == 202:
            result = (eventually(answered, f"{job_id} is verified", within=60) or {})["result"]
        assert result["verified"], result

    def model_hash(self, job_id: str) -> str:
        """Of the file with the final weights: equal hashes are equal bits."""
        with self.database.session(write=False) as session:
            query = select(ModelVersion.sha256).where(ModelVersion.job_id == job_id)
            return session.scalars(query).one()

    def attempt_began_at(self, job_id: str) -> int:
        """The iteration from which the last attempt went on."""
        with self.database.session(write=False) as session:
            return session.scalars(
                select(Job.attempt_first_iteration).where(Job.id == job_id)
            ).one()

    def pid_of_worker(self, worker: str) -> int:
        """The process that trains."""
        with self.database.session(write=False) as session:
            return session.scalars(select(Worker.pid).where(Worker.id == worker)).one()

    def assert_same(self, job_id: str, reference: str) -> None:
        """Losses, evaluations, result and weights are equal to the bit, every iteration once."""
        job, undisturbed = self.ended(job_id), self.ended(reference)
        series = self.curves(job_id)
        assert series["loss"]["iteration"] == list(range(job["progress"]["iterations"]))
        assert series == self.curves(reference)
        assert job["result"] == undisturbed["result"]
        assert self.model_hash(job_id) == self.model_hash(reference)

    def close(self) -> None:
        """Ends the connections."""
        self.database.dispose()
