"""Structured logs: one JSON object a line on stderr, with request and job where there is one."""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import orjson
import structlog


def line(event: Any, *, option: int | None = None, **options: Any) -> str:
    """A line of the log."""
    try:
        return orjson.dumps(event, option=option, **options).decode()
    except TypeError:  # half a character, or a number of more than 64 bits
        return json.dumps(event, default=str, **options)


class Stderr:
    """No work fails because a line of the log cannot be written (its disk is full): it is lost."""

    def write(self, text: str) -> None:
        """As far as possible."""
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """As far as possible."""
        with suppress(OSError):
            sys.stderr.flush()


JSON = structlog.processors.JSONRenderer(serializer=line)


class Requests:
    """The lines about requests: there may be thousands a second, so they take no detour, and those
    of one pass of the event loop are written at once."""

    def __init__(self) -> None:
        self.stderr = Stderr()
        self.lines: list[str] = []

    def say(self, **event: Any) -> None:
        """A line like any other; written before the loop waits for anything."""
        if not self.lines:
            asyncio.get_running_loop().call_soon(self.write)
        about = {"event": "request", **event, "level": "info", "timestamp": datetime.now(UTC)}
        self.lines.append(line(about, option=orjson.OPT_UTC_Z))

    def write(self) -> None:
        """All that was said."""
        lines, self.lines = self.lines, []
        if lines:
            self.stderr.write("\n".join([*lines, ""]))


def configure_logging() -> None:
    """Sends our events and the libraries' warnings through one pipeline."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    stderr = cast("TextIO", Stderr())
    structlog.configure(
        processors=[*shared, JSON],
        logger_factory=structlog.PrintLoggerFactory(stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                JSON,
            ],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
