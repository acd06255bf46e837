"""Where the service is and which key opens it, as the FALLLINE_ environment says."""

from __future__ import annotations

import os
from pathlib import Path

from fallline.errors import FalllineError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


def home() -> Path:
    """The folder of the service's data: FALLLINE_HOME, else ~/.fallline; always absolute."""
    return Path(os.environ.get("FALLLINE_HOME") or "~/.fallline").expanduser().absolute()


def url() -> str:
    """The address of the service: FALLLINE_URL, else that of FALLLINE_HOST and FALLLINE_PORT."""
    if given := os.environ.get("FALLLINE_URL"):
        return root(given)
    port = os.environ.get("FALLLINE_PORT") or str(DEFAULT_PORT)
    if not port.isdecimal():
        raise FalllineError(f"FALLLINE_PORT is {port!r}, which is no port number.")
    return address(os.environ.get("FALLLINE_HOST") or DEFAULT_HOST, int(port))


def root(url: str) -> str:
    """Where the paths of a service begin: `url` without the `/v1` that every one of them has."""
    if not url.lower().startswith(("http://", "https://")):
        raise FalllineError(f"{url!r} is no address of a service: http:// or https:// is missing.")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def address(host: str, port: int) -> str:
    """The URL of `host` and `port`; a service bound to every address is reached on loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def key(folder: Path | None = None) -> str | None:
    """The key: FALLLINE_API_KEY, else the file that the first start wrote; None without either."""
    if given := os.environ.get("FALLLINE_API_KEY"):
        return given
    return key_in(folder or home())


def key_in(folder: Path) -> str | None:
    """The key that a service with its home in `folder` wrote there."""
    path = folder / "key"
    return path.read_text("ascii").strip() if path.is_file() else None
