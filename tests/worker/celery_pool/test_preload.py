"""What a pool's parent imports for its children, and what it must not do on the way."""

from pathlib import Path

import psutil

from tests.service import Service
from tests.test_architecture import fresh_interpreter

PRELOADED = """
import os, sys
os.environ["OMP_NUM_THREADS"] = "1"  # as a pool is started
import torch
from worker.celery_pool import preload, tasks
from worker.process.worker_process import warm_up
preload.preload()
tasks_of_the_kernel = len(os.listdir("/proc/self/task"))
assert tasks_of_the_kernel == 1, tasks_of_the_kernel
assert not torch.cuda.is_initialized()
before = {*sys.modules}
warm_up(trace=True)
for name in {*sys.modules} - before:
    print(name)
"""


def test_what_a_job_needs_has_been_imported_before_a_child_is_forked(tmp_path: Path) -> None:
    """All but a handful of small modules: a child that had to import torch would take seconds."""
    assert len(fresh_interpreter(PRELOADED, tmp_path)) < 10


def parents(service: Service) -> list[psutil.Process]:
    """The Celery processes that fork children."""
    (supervisor,) = (p for p in service.processes if "worker" in p.name)
    return [p for p in psutil.Process(supervisor.pid).children() if p.children()]


def test_a_parent_has_torch_and_neither_threads_nor_a_database(service: Service) -> None:
    pools = parents(service)
    assert len(pools) == 2
    for pool in pools:
        assert any("libtorch" in mapped.path for mapped in pool.memory_maps())
        assert pool.num_threads() == 1
        assert not [file for file in pool.open_files() if ".db" in file.path]
        assert not [c for c in pool.net_connections("unix") if ".s.PGSQL" in str(c.raddr)]
