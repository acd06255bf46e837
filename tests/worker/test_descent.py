"""Retries and forks: what they take over, and what they make of it, to the bit."""

from typing import Any

from sqlalchemy import select

from app.storage import Storage
from app.tables import Checkpoint, Job
from tests.servers import eventually
from tests.worker.test_interventions import patched
from tests.worker.watch import CNN, EPOCH, OPTIMIZERS, Jobs

SPEC = CNN | {"optimizer": OPTIMIZERS[0], "checkpoint_every_seconds": 0, "iterations": 400}


def forked(jobs: Jobs, job_id: str, iteration: int, **changes: Any) -> str:
    body = {"iteration": iteration, "changes": changes}
    answer = jobs.service.http.post(f"/v1/jobs/{job_id}/fork", json=body)
    assert answer.status_code == 202, answer.text
    document = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{document['id']}"
    assert document["forked_from"] == {"job": job_id, "iteration": iteration}
    return str(document["id"])


def checkpoints(jobs: Jobs, job_id: str) -> list[Checkpoint]:
    with jobs.database.session(write=False) as session:
        query = select(Checkpoint).where(Checkpoint.job_id == job_id)
        return list(session.scalars(query.order_by(Checkpoint.iteration)))


def test_a_fork_without_changes_is_its_parent_to_the_bit_even_between_checkpoints(
    jobs: Jobs,
) -> None:
    parent = jobs.post(SPEC)
    jobs.reaches(parent, EPOCH)
    patched(jobs, parent, lr=0.02)
    jobs.ended(parent)
    saved = [row.iteration for row in checkpoints(jobs, parent)]
    n = next(n for n in range(SPEC["iterations"] // 2, SPEC["iterations"]) if n not in saved)
    twins = [forked(jobs, parent, at) for at in (n, SPEC["iterations"])]
    for twin in twins:
        jobs.assert_same(twin, parent)
        jobs.assert_verified(twin)
    assert jobs.attempt_began_at(twins[0]) == max(at for at in saved if at <= n)


def test_a_fork_goes_its_own_way_and_needs_its_parent_no_more(jobs: Jobs) -> None:
    parent = jobs.post(SPEC)
    jobs.ended(parent)
    before = jobs.curves(parent)
    moments = {n: jobs.moment(parent, n) for n in (90, 149)}
    changes = {
        "optimizer": {"lr": 0.01, "momentum": 0.5},
        "batch_size": 32,
        "iterations": 260,
        "evaluate_every": 15,
        "seed": 3,
    }
    child = forked(jobs, parent, 150, **changes)
    grandchild = forked(jobs, child, 150, schedule="constant", iterations=200)
    assert jobs.service.http.delete(f"/v1/jobs/{parent}").status_code == 204
    for job_id, end in ((child, 260), (grandchild, 200)):
        assert jobs.ended(job_id)["progress"]["iteration"] == end
        curves = jobs.curves(job_id)
        assert curves["loss"]["iteration"] == list(range(end))
        assert curves["loss"]["value"][:150] == before["loss"]["value"][:150]
        assert curves["loss"]["value"][150] != before["loss"]["value"][150]
        evaluated = [n for n in before["validation_loss"]["iteration"] if n < 150]
        evaluated += [n for n in range(150, end + 1) if n % 15 == 0 or n == end]
        assert curves["validation_loss"]["iteration"] == evaluated
        # Any iteration again: before the fork under the old specification, after it the new.
        for n, moment in moments.items():
            again = jobs.moment(job_id, n)
            assert again["exact"]
            assert again["parameters"] == moment["parameters"]
        assert all(jobs.moment(job_id, n)["exact"] for n in (150, 151, end - 1, end))
        jobs.assert_verified(job_id)
    assert jobs.moment(child, 150)["lr"] < 0.01 < jobs.moment(child, 149)["lr"]
    assert jobs.moment(grandchild, 150)["lr"] == 0.01


def test_a_retry_goes_on_from_the_newest_checkpoint_that_can_be_read(jobs: Jobs) -> None:
    reference = jobs.post(SPEC)
    jobs.ended(reference)
    failed = jobs.post(SPEC)
    eventually(lambda: len(checkpoints(jobs, failed)) > 1, "there are two checkpoints", within=60)
    jobs.ask(failed, "cancel")
    rows = checkpoints(jobs, failed)
    storage = Storage(jobs.service.home / "objects")
    (storage.root / rows[-1].location).write_bytes(b"torn")
    retried = jobs.ask(failed, "retry")
    assert (retried["retry_of"], retried["state"]) == (failed, "queued")
    assert retried["progress"]["iteration"] == rows[-2].iteration > 0
    jobs.service.http.delete(f"/v1/jobs/{failed}")
    jobs.assert_same(retried["id"], reference)
    assert jobs.attempt_began_at(retried["id"]) == rows[-2].iteration
    log = jobs.log(retried["id"])
    assert [event.sequence for event in log] == sorted({event.sequence for event in log})


def test_a_job_out_of_time_keeps_what_it_has_and_is_retried_from_there(jobs: Jobs) -> None:
    spec = SPEC | {"checkpoint_every_seconds": 100, "iterations": 10_000}
    job_id = jobs.post(spec | {"time_limit_seconds": 2})
    failed = jobs.becomes(job_id, "failed")
    error, at = failed["error"], failed["progress"]["iteration"]
    assert (error["category"], error["code"], error["retryable"]) == ("timeout", "time_limit", True)
    assert (failed["state_reason"], error["iteration"]) == ("time_limit", at)
    assert f"for its limit of 2 s and came to iteration {at} of 10000" in error["message"]
    retried = jobs.ask(job_id, "retry")
    assert retried["progress"]["iteration"] == at > 0
    assert jobs.reaches(retried["id"], at + 1)["attempts"] == 1
    jobs.ask(retried["id"], "cancel")
    assert [e.data["iteration"] for e in jobs.log(retried["id"]) if e.type == "resumed"] == [at]


def test_a_fork_of_a_job_that_still_trains_disturbs_it_not(jobs: Jobs) -> None:
    parent = jobs.post(SPEC | {"checkpoint_every_seconds": 0, "iterations": 600})
    at = jobs.reaches(parent, 100)["progress"]["iteration"]
    child = forked(jobs, parent, at, iterations=at + 5)
    jobs.ended(parent)
    jobs.ended(child)
    assert jobs.curves(child)["loss"]["value"][:at] == jobs.curves(parent)["loss"]["value"][:at]
    with jobs.database.session(write=False) as session:
        own = session.scalars(select(Job.attempts).where(Job.id == parent)).one()
    assert own == 1
