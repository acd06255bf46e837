"""Jobs that rest: their worker is free, and they end with the same bits."""

from sqlalchemy import update

from app.tables import Job
from tests.specifications import ONE_WEIGHT
from tests.worker.watch import EPOCH, LONG, Jobs


def test_a_paused_job_lets_its_worker_go_and_ends_with_the_same_bits(jobs: Jobs) -> None:
    reference = jobs.post(LONG)
    jobs.ended(reference)
    job_id = jobs.post(LONG)
    jobs.reaches(job_id, 3 * EPOCH)
    assert jobs.ask(job_id, "pause")["state"] == "pausing"
    paused = jobs.becomes(job_id, "paused")
    at = paused["progress"]["iteration"]
    assert 3 * EPOCH <= at < LONG["iterations"]
    jobs.ended(jobs.post(ONE_WEIGHT))  # its worker does something else
    assert jobs.get(job_id)["progress"]["iteration"] == at
    assert jobs.ask(job_id, "resume")["state"] == "queued"
    jobs.assert_same(job_id, reference)
    assert jobs.attempt_began_at(job_id) == at
    assert jobs.get(job_id)["attempts"] == 2
    assert states(jobs, job_id) == [
        *("queued", "running", "pausing", "paused"),
        *("queued", "running", "succeeded"),
    ]


def test_a_pausing_job_whose_worker_is_killed_is_paused_and_loses_nothing(jobs: Jobs) -> None:
    job_id = jobs.post(LONG)
    running = jobs.reaches(job_id, EPOCH)
    victim = jobs.pid_of_worker(running["worker"])
    with jobs.database.session() as session:  # as the request does, but held until the kill
        session.execute(update(Job).where(Job.id == job_id).values(state="pausing"))
        jobs.service.kill(victim)
    jobs.becomes(job_id, "paused")
    assert jobs.get(job_id)["state_reason"] == "its worker died"
    jobs.ask(job_id, "resume")
    assert jobs.ended(job_id)["attempts"] == 2


def test_events_and_losses_share_one_ascending_numbering(jobs: Jobs) -> None:
    job_id = jobs.post(ONE_WEIGHT)
    length = jobs.ended(job_id)["progress"]["iterations"]
    log = jobs.log(job_id)
    numbers = [event.sequence for event in log]
    assert numbers == sorted(set(numbers))
    # Three entries and the losses, and the last entry stands behind them all.
    assert (numbers[:2], numbers[-1]) == ([1, 2], 3 + length + 1)
    assert log[-1].iteration == length


def states(jobs: Jobs, job_id: str) -> list[str]:
    """The states it went through."""
    return [event.data["state"] for event in jobs.log(job_id) if event.type == "state"]
