"""What this process measures of its requests, by route and never by path: an id is no label."""

import time
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from app.api.asgi_types import App, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets: from a look-up to the longest ``?wait=``."""


class RequestMetrics:
    """The figures, in a registry of their own: an application more in the process shares none."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.latency = Histogram(
            "fallline_http_request_duration_seconds",
            "Time from a request to the beginning of its answer.",
            ("method", "route", "status"),
            buckets=BUCKETS_SECONDS,
            registry=self.registry,
        )
        self.in_flight = 0
        Gauge(
            "fallline_http_requests_in_flight",
            "Requests that are not fully answered, open streams included.",
            registry=self.registry,
        ).set_function(lambda: self.in_flight)
        self.series: dict[tuple[str, str, int], Histogram] = {}

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Notes one answer. Whatever a client makes up ends in one label, so there are few."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path", "unmatched")
        which = method, route, status // 100
        series = self.series.get(which)
        if series is None:
            series = self.latency.labels(method, route, f"{status // 100}xx")
            self.series[which] = series
        series.observe(seconds)


class RequestMetricsMiddleware:
    """The outermost layer: nothing that happens to a request is missed."""

    def __init__(self, app: App, traffic: RequestMetrics) -> None:
        self.app = app
        self.traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def timed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self.traffic.answered(scope, status, time.perf_counter() - began)
            await send(message)

        self.traffic.in_flight += 1
        try:
            await self.app(scope, receive, timed_send)
        finally:
            self.traffic.in_flight -= 1
        if not status:  # the client left before it was answered
            gone = HTTPStatus.BAD_REQUEST
            self.traffic.answered(scope, gone, time.perf_counter() - began)
