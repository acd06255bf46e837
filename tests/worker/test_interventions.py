"""Changes of a job's course: committed before what depends on them, honoured whatever dies."""

from typing import Any

from sqlalchemy import select

from app.ids import new_id
from app.tables import Intervention, Job
from tests.worker.watch import CNN, EPOCH, LONG, Jobs


def undisturbed(jobs: Jobs, job_id: str) -> str:
    """A job of the same specification and intervention log, which nothing will disturb."""
    reference = new_id("job")
    with jobs.database.session() as session:
        job = session.scalars(select(Job).where(Job.id == job_id)).one()
        log = session.scalars(select(Intervention).where(Intervention.job_id == job_id)).all()
        same = ("tenant_id", "spec", "labels", "priority", "device_wanted", "iterations", "series")
        kept = {name: getattr(job, name) for name in same}
        twin = {"id": reference, "name": reference, "request_id": "req_test"}
        session.add(Job(**kept, **twin, interventions=len(log)))
        session.flush()
        for row in log:
            values = {n: getattr(row, n) for n in ("tenant_id", "number", "iteration", "changes")}
            session.add(Intervention(id=new_id("int"), job_id=reference, **values))
    return reference


def patched(jobs: Jobs, job_id: str, **changes: Any) -> dict[str, Any]:
    answer = jobs.service.http.patch(f"/v1/jobs/{job_id}", json=changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_job_paused_killed_and_changed_again_and_again_equals_one_that_was_not(
    jobs: Jobs,
) -> None:
    job_id = jobs.post(LONG)
    jobs.reaches(job_id, 2 * EPOCH)
    patched(jobs, job_id, lr=0.0005)
    jobs.reaches(job_id, 5 * EPOCH)
    jobs.ask(job_id, "pause")
    jobs.becomes(job_id, "paused")
    patched(jobs, job_id, iterations=1100)
    jobs.ask(job_id, "resume")
    running = jobs.becomes(job_id, "running")
    running = jobs.reaches(job_id, running["progress"]["iteration"] + EPOCH)
    victim = jobs.pid_of_worker(running["worker"])
    patched(jobs, job_id, lr=0.002)
    jobs.service.kill(victim)  # the change is durable, and nothing that depends on it
    ended = jobs.ended(job_id)
    assert ended["progress"]["iterations"] == 1100
    assert [entry["changes"] for entry in ended["interventions"]] == [
        {"lr": 0.0005},
        {"iterations": 1100},
        {"lr": 0.002},
    ]
    at = [entry["iteration"] for entry in ended["interventions"]]
    assert 2 * EPOCH <= at[0] <= at[1] <= at[2] < 1100
    jobs.assert_same(job_id, undisturbed(jobs, job_id))


def test_a_change_shows_in_every_iteration_from_the_one_it_names(jobs: Jobs) -> None:
    spec = CNN | {"optimizer": {"type": "sgd", "lr": 0.05}, "schedule": "constant"}
    job_id = jobs.post(spec | {"iterations": 100_000})
    jobs.reaches(job_id, 50)
    at = patched(jobs, job_id, lr=0.01)["interventions"][0]["iteration"]
    running = jobs.reaches(job_id, at + 20)
    end = running["progress"]["iteration"] + 20 * EPOCH
    changed = patched(jobs, job_id, iterations=end)
    assert changed["progress"]["iterations"] == end
    assert jobs.ended(job_id)["progress"]["iteration"] == end
    rates = {n: jobs.moment(job_id, n)["lr"] for n in (0, at - 1, at, end - 1)}
    assert rates == {0: 0.05, at - 1: 0.05, at: 0.01, end - 1: 0.01}
    assert all(jobs.moment(job_id, n)["exact"] for n in (at - 1, at, end - 1, end))


def test_a_job_cannot_end_before_what_it_has_recorded_but_it_can_end_there(jobs: Jobs) -> None:
    job_id = jobs.post(LONG | {"iterations": 100_000})
    jobs.reaches(job_id, EPOCH)
    jobs.ask(job_id, "pause")
    at = jobs.becomes(job_id, "paused")["progress"]["iteration"]
    refusal = jobs.service.http.patch(f"/v1/jobs/{job_id}", json={"iterations": at - 1})
    assert (refusal.status_code, refusal.json()["code"]) == (409, "state_conflict")
    assert f"recorded {at} iterations" in refusal.json()["detail"]
    patched(jobs, job_id, iterations=at)
    jobs.ask(job_id, "resume")
    ended = jobs.ended(job_id)
    assert (ended["progress"]["iteration"], ended["progress"]["iterations"]) == (at, at)
    jobs.assert_same(job_id, undisturbed(jobs, job_id))
