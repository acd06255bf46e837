"""The API process: ``python -m app``."""

import uvicorn

from app.config import get_settings
from app.main import create_app

if __name__ == "__main__":
    settings = get_settings()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    # Those who watch are let go at once; they come again to the next process and miss nothing.
    app.state.watch.ending = lambda: server.should_exit
    server.run()
