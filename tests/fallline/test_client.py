"""The client against the real service, on both databases."""

import asyncio
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fallline import ApiError, AsyncClient, Client
from fallline.commands.demo import NEXT, ONE_WEIGHT
from tests.servers import eventually
from tests.service import Service

SPEC: dict[str, Any] = {
    "dataset": "iris",
    "split": {"test": 0.2},
    "model": [{"type": "linear", "out_features": 3}],
    "loss": "cross_entropy",
    "optimizer": {"type": "sgd", "lr": 0.1},
    "batch_size": 32,
    "iterations": 50,
}


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, service.key) as client:
        yield client


def test_a_job_from_its_post_to_a_prediction(client: Client) -> None:
    seen: list[int] = []
    for now, new in client.jobs.create({**SPEC, "name": "client-iris"}).follow(every=0.01):
        job = now
        seen += new["loss"].iterations
    assert job.succeeded, job
    assert job.check().result is not None
    assert seen == list(range(50))
    assert job.points().iterations == seen

    inputs = [example["input"] for example in job.examples(split="test", limit=3)]
    by_job = job.predict(inputs)
    assert client.models.predict("client-iris", inputs, version=by_job.version) == by_job
    assert all(math.isclose(sum(said.probabilities or ()), 1, rel_tol=1e-5) for said in by_job)


def test_the_same_is_awaited(service: Service) -> None:
    async def ask() -> None:
        async with AsyncClient(service.url, service.key) as client:
            posted = await client.jobs.create({**SPEC, "name": "awaited-iris"})
            pairs = [pair async for pair in posted.follow(every=0.01)]
            job = (await posted.wait()).check()
            assert pairs[-1][0] == job
            points = await job.points()
            assert [i for _, new in pairs for i in new["loss"].iterations] == points.iterations
            inputs = [example["input"] for example in await job.examples(limit=3)]
            assert len(await client.models.predict("awaited-iris", inputs)) == 3
            assert job in [found async for found in client.jobs.all()]

    asyncio.run(ask())


def test_a_page_of_metrics_goes_on_where_it_says(client: Client) -> None:
    job = client.jobs.create(SPEC).wait()
    first = job.metrics(limit=20)
    assert first.series["loss"].iterations == list(range(20))
    second = job.metrics(after=first.next_after, limit=100)
    assert second.series["loss"].iterations == list(range(20, 50))
    assert (second.state, second.complete, second.next_after) == ("succeeded", True, None)


def test_an_iteration_is_computed_again(client: Client) -> None:
    job = client.jobs.create(SPEC).wait()
    state = job.iteration(7, parameters=["0.bias"])
    assert state["loss"] == job.points().values[7]
    assert state["parameters"]["0.bias"]["shape"] == [3]


def test_a_weight_is_explained_and_a_job_verified(client: Client) -> None:
    job = client.jobs.create(SPEC).wait()
    assert job.explain(3, "0.weight[1,2]")["iteration"] == 3
    assert job.verify()["verified"] is True


def test_a_job_is_paused_changed_and_resumed(client: Client) -> None:
    job = client.jobs.create({**SPEC, "iterations": 1_000_000})
    job.pause()
    eventually(lambda: job.now().state == "paused", "the job is paused", within=60)
    now = job.now()
    changed = now.update(lr=0.05, iterations=now.progress.iteration + 1000, metadata={"a": "b"})
    assert changed.metadata == {"a": "b"}
    assert changed.interventions[-1].changes == {
        "lr": 0.05,
        "iterations": changed.progress.iterations,
    }
    assert job.resume().state == "queued"
    assert job.wait().check().progress.iteration == changed.progress.iterations


def test_a_job_is_forked_and_retried(client: Client) -> None:
    job = client.jobs.create({**SPEC, "checkpoint_every_seconds": 1}).wait().check()
    fork = job.fork(20, {"optimizer": {"type": "sgd", "lr": 0.01}}).wait().check()
    assert fork.forked_from
    assert (fork.forked_from.job, fork.forked_from.iteration) == (job.id, 20)
    assert fork.points().values[:20] == job.points().values[:20]
    cancelled = client.jobs.create({**SPEC, "iterations": 1_000_000})
    cancelled.cancel()
    again = cancelled.retry()
    again.cancel()
    assert again.retry_of == cancelled.id


def test_jobs_are_made_together_and_found_by_what_they_carry(client: Client) -> None:
    base = {**SPEC, "name": "sweep", "metadata": {"sweep": "rates"}}
    rates = [{"optimizer": {"type": "sgd", "lr": lr}} for lr in (0.1, 0.2)]
    made = client.jobs.batch(base=base, changes=rates)
    assert [job.spec["optimizer"]["lr"] for job in made] == [0.1, 0.2]
    assert len(client.jobs.batch([SPEC, SPEC])) == 2
    found = {job.id for job in client.jobs.all(name="sweep", metadata={"sweep": "rates"})}
    assert found == {job.id for job in made}
    done = [job.wait().id for job in made]
    assert set(done) <= {job.id for job in client.jobs.list(state="succeeded", name="sweep")}


def test_a_log_tells_the_states_of_a_job(client: Client) -> None:
    job = client.jobs.create(SPEC).wait()
    log = job.log()
    assert [event.data["state"] for event in log] == ["queued", "running", "succeeded"]
    assert [event.iteration for event in log] == [0, 0, 50]


def test_a_catalogue_knows_the_words_of_a_specification(client: Client) -> None:
    words = {word["name"] for word in client.catalog.get()["layers"]}
    assert {"linear", "conv2d"} <= words
    assert "properties" in client.catalog.schema()


def test_keys_are_made_for_tenants_and_revoked(client: Client) -> None:
    tenant = client.tenants.create("client-test")
    assert tenant in list(client.tenants.all())
    until = datetime.now(UTC) + timedelta(hours=1)
    made = client.keys.create(["read"], tenant=tenant.id, expires_at=until)
    assert made.expires_at is not None
    assert abs(made.expires_at - until) < timedelta(seconds=1)
    with Client(client.url, made.key) as guest:
        assert list(guest.jobs.list()) == []
        with pytest.raises(ApiError, match="insufficient_scope"):
            guest.jobs.create(SPEC)
    client.keys.revoke(made.id)
    (found,) = [key for key in client.keys.all() if key.id == made.id]
    assert found.revoked_at is not None
    assert found.key is None


def test_a_table_is_uploaded_trained_on_and_deleted(client: Client, tmp_path: Path) -> None:
    rows = [f"{n},{n % 7},{'red' if n % 2 else 'blue'}" for n in range(200)]
    (tmp_path / "colours.csv").write_text("a,b,colour\n" + "\n".join(rows))
    data = client.datasets.upload(tmp_path / "colours.csv", target="colour", ignore=["b"])
    assert (data.name, data.rows, data.target) == ("colours", 200, "colour")
    assert data in list(client.datasets.all())
    assert client.datasets.preview(data.id, rows=2)["data"][0] == {"a": 0, "colour": "blue"}
    wide = {**SPEC, "dataset": data.id, "model": [{"type": "linear", "out_features": 2}]}
    job = client.jobs.create(wide).wait().check()
    (said,) = job.predict([{"a": 3}])
    assert said.label in {"red", "blue"}
    job.delete()
    client.datasets.delete(data.id)
    with pytest.raises(ApiError) as gone:
        client.datasets.get(data.id)
    assert gone.value.status == 404


def test_a_picture_of_a_series_keeps_its_extremes(client: Client) -> None:
    job = client.jobs.create(SPEC).wait()
    whole, few = job.points(), job.metrics(points=5)
    assert (few.sampled, few.count) == (True, {"loss": 50})
    assert max(few.series["loss"].values) == max(whole.values)
    assert job.metrics(after=9, before=20).series["loss"].iterations == list(range(10, 20))


def test_the_losses_of_a_job_that_diverges_are_floats(client: Client) -> None:
    wild = {**ONE_WEIGHT, "optimizer": {"type": "sgd", "lr": 1e30}, "iterations": 100}
    job = client.jobs.create(wild).wait()
    assert job.error is not None
    assert job.error.category == "diverged"
    assert not all(map(math.isfinite, job.points().values))


def test_all_mistakes_of_a_specification_come_in_one_error(client: Client) -> None:
    wrong = {**SPEC, "model": [{"type": "linera"}], "iterations": -1}
    with pytest.raises(ApiError) as refused:
        client.jobs.create(wrong)
    assert refused.value.status == 422
    assert {mistake.pointer for mistake in refused.value.errors} >= {"/iterations"}
    assert all(mistake.pointer in str(refused.value) for mistake in refused.value.errors)
    assert len(refused.value.errors) >= 2


def test_the_specification_that_the_demo_suggests_is_a_good_one(client: Client) -> None:
    suggested = re.search(r"-d '(.*?)'", NEXT, re.DOTALL)
    assert suggested
    assert client.jobs.create(json.loads(suggested[1])).wait().error is None


def test_a_plan_says_what_would_run(client: Client) -> None:
    plan = client.jobs.validate(SPEC)
    assert (plan["parameters"], plan["iterations"]) == (4 * 3 + 3, 50)
    with pytest.raises(ApiError, match="/iterations"):
        client.jobs.validate({**SPEC, "iterations": 0})


def test_a_list_is_newest_first_and_paged(client: Client) -> None:
    ids = [client.jobs.create(SPEC).id for _ in range(3)]
    page = client.jobs.list(limit=2)
    assert [job.id for job in page] == [ids[2], ids[1]]
    assert client.jobs.list(limit=1, after=page.next).data[0].id == ids[0]
    newest = client.jobs.all()
    assert [next(newest).id for _ in ids] == ids[::-1]


def test_a_job_is_cancelled_and_deleted(client: Client) -> None:
    job = client.jobs.create({**SPEC, "iterations": 1_000_000})
    job.cancel()
    assert job.wait().state == "cancelled"
    job.delete()
    with pytest.raises(ApiError) as gone:
        job.now()
    assert gone.value.status == 404


def test_a_wrong_key_is_refused(service: Service) -> None:
    with Client(service.url, "wrong") as client, pytest.raises(ApiError) as refused:
        client.jobs.list()
    assert refused.value.status == 401
