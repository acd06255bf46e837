"""One HTTP connection to the service: a request in, JSON out, an error of ours for all else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from fallline.answers import Json
from fallline.errors import ApiError, TaskFailed, Unreachable

# A request for an iteration may be held for 10 s before the service answers 202.
TIMEOUT_SECONDS = 30.0
TASK_POLL_SECONDS = 0.1


class Transport:
    """Sends requests to `url` with `key`; raises `ApiError` and `Unreachable`."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self.key = key
        host = urlsplit(self.url).hostname
        local = host in {"127.0.0.1", "::1", "localhost"}
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=TIMEOUT_SECONDS,
            # A proxy of the environment cannot reach our loopback; certificates take 0.1 s to read.
            trust_env=not local,
            verify=self.url.startswith("https:"),
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx2.Response:
        """The answer to one request, its status 2xx; parameters that are None are left out."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._http.request(method, path, json=body, params=given)
        except httpx2.TimeoutException as error:
            raise Unreachable(self.url, f"no answer within {TIMEOUT_SECONDS:g} s") from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Unreachable(self.url, str(error) or type(error).__name__) from error
        if response.is_success:
            return response
        raise problem(response, has_key=self.key is not None)

    def json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Json:
        """The JSON of the answer to one request (see `send`)."""
        return self.send(method, path, body=body, params=params).json()

    def result(self, path: str, *, params: Mapping[str, Any]) -> Json:
        """What a GET computes; work that was only accepted (202 and a task) is waited for."""
        response = self.send("GET", path, params=params)
        if response.status_code != httpx2.codes.ACCEPTED:
            return response.json()
        # Only the path: a key must never follow a Location to another host.
        return self._task(urlsplit(response.headers["Location"]).path)

    def _task(self, path: str) -> Json:
        while True:
            task = self.json("GET", path)
            if task["state"] == "succeeded":
                return task["result"]
            if task["state"] == "failed":
                raise TaskFailed(task["id"], task.get("error"))
            time.sleep(TASK_POLL_SECONDS)


def problem(response: httpx2.Response, *, has_key: bool) -> ApiError:
    """The error of an answer of 300 and above; it need not be a problem document (a proxy's)."""
    document: dict[str, Any] = {}
    if "json" in response.headers.get("Content-Type", ""):
        answer = response.json()
        document = answer if isinstance(answer, dict) else {}
    if not document:
        document = {"detail": f"The answer was no JSON: {response.text[:200]!r}."}
    if response.status_code == httpx2.codes.UNAUTHORIZED and not has_key:
        document["detail"] = (
            "No key was found: set FALLLINE_API_KEY, or FALLLINE_HOME to the service's home."
        )
    return ApiError(response.status_code, document)
