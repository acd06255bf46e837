"""The API process: ``python -m app``."""

import gc
import resource

import uvicorn

from app.config import get_settings
from app.http_protocol import wire
from app.main import create_app

KEEP_ALIVE_SECONDS = 75
"""Seconds that an idle connection is kept: longer than proxies keep theirs, so that they hang up
first and never send a request into a closing one."""
MAX_FILE_COUNT = 65_536


def raise_file_limit() -> None:
    """A client is a descriptor: as many as we may have, not the few that a shell begins with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILE_COUNT if hard == resource.RLIM_INFINITY else min(hard, MAX_FILE_COUNT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def freeze() -> None:
    """Spares the garbage collector what was loaded and stays: passing over it again and again took
    a fifth of a busy process's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


if __name__ == "__main__":
    settings = get_settings()
    raise_file_limit()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=wire(settings),
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who connects
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    # Those who watch are let go at once; they come again to the next process and miss nothing.
    app.state.watch.ending = lambda: server.should_exit
    freeze()
    server.run()
