"""A Celery process and its prefork children, as one process group that the supervisor owns."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import structlog

from app.config import Settings
from app.tables import Job, Task
from worker.process.os_process import die_with_parent

log = structlog.get_logger()


class Pool:
    """One queue's consumer: ``children`` processes that train, or answer questions.

    ``works_on``: the table whose rows its children claim.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        works_on: type[Job] | type[Task],
        children: int,
        supervisor: str,
        settings: Settings,
    ) -> None:
        self.name = name
        self.queue = queue
        self.works_on = works_on
        self.children = children
        self.supervisor = supervisor
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.pipe: tuple[int, int] | None = None

    def start(self) -> None:
        """Executes Celery; one thread a child, for several only slow tiny models down."""
        _, drops = self.pipe = self.pipe or pipe()
        environment = os.environ | {
            "FALLLINE_POOL": self.name,
            "FALLLINE_SUPERVISOR": self.supervisor,
            "FALLLINE_DROPPED": str(drops),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            # torch makes this folder when it is imported; by default in the system's /tmp.
            "TORCHINDUCTOR_CACHE_DIR": str(self.settings.home / "cache"),
        }
        self.process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "celery",
                    "-A",
                    "worker.celery_pool.app:celery",
                    "--quiet",
                    "worker",
                ),
                *("--pool", "prefork", "--concurrency", str(self.children)),
                *("--queues", self.queue, "--hostname", f"{self.name}@{self.supervisor}"),
                *("--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
            ],
            env=environment,
            start_new_session=True,
            pass_fds=[drops],
            # The supervisor's other thread sends hints; this call takes no lock of its.
            preexec_fn=die_with_parent,
        )
        log.info("pool started", pool=self.name, pid=self.process.pid, children=self.children)

    def running(self) -> bool:
        """Whether the Celery process lives."""
        return self.process is not None and self.process.poll() is None

    def dropped(self) -> int:
        """How many messages were no bells, since this was asked before."""
        with contextlib.suppress(BlockingIOError):  # none
            return len(os.read(self.pipe[0], 65536)) if self.pipe else 0
        return 0

    def close(self) -> None:
        """Celery takes no more work, and ends when its children have none."""
        if self.process is not None and self.running():
            self.process.terminate()

    def reap(self, deadline: float) -> None:
        """Waits for Celery to end, then makes sure that no child outlives it."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):  # the whole group has ended by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def pipe() -> tuple[int, int]:
    """Two ends, neither of which is ever waited for."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
