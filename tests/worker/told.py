"""A job's life (``tests.worker.life``) as those who watch are told of it: by hints, on a broker."""

from hypothesis.stateful import invariant

from app.config import get_settings
from app.hints.message import Counters
from app.services.jobs import revision
from app.services.jobs.revision import JobRevision
from tests.hints import Heard
from tests.servers import eventually
from tests.worker.life import Life
from worker.process.worker_process import WorkerProcess

NOTHING = JobRevision("", 0, 0)


class ToldLife(Life):
    """Whoever writes tells: what changes about a job is told, whoever changed it."""

    def __init__(self, child: WorkerProcess) -> None:
        self.hints = Heard(get_settings().broker_url)
        self.glances: dict[str, JobRevision] = {}
        super().__init__(child)

    def teardown(self) -> None:
        self.hints.close()

    @invariant()
    def whatever_changes_is_told(self) -> None:
        with self.rows.session(write=False) as session:
            found = revision.of(session, list(self.models))
        for job_id, now in found.items():
            before = self.glances.get(job_id, NOTHING)
            grown = Counters(*now[1:]).grown(Counters(*before[1:]))
            assert any(grown) == (now != before)
            if any(grown):
                self.hears(job_id, grown)
        self.glances = found

    def hears(self, job_id: str, grown: Counters) -> None:
        eventually(
            lambda: self.hints.furthest(job_id).cover(grown), f"{grown} is told", every=0.001
        )
