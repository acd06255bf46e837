"""Figures for Prometheus: those of this process, and those of the whole service."""

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api.middleware.request_metrics import RequestMetrics
from app.api.requests.dependencies import CanAdminister, DatabaseDep
from app.services.operations import counters
from app.services.operations import gauges as figures
from app.services.operations.gauges import Gauges

router = APIRouter(tags=["health"])

FORMATS = ("text/plain", "application/openmetrics-text")
SHOWN = {
    "description": "The figures.",
    "content": {name: {"schema": {"type": "string"}} for name in FORMATS},
}


class Exposition(Collector):
    """All that one answer shows."""

    def __init__(self, traffic: RequestMetrics, shown: Gauges) -> None:
        self.traffic = traffic
        self.shown = shown

    def collect(self) -> Iterator[Metric]:
        """Our process first, then the service."""
        yield from self.traffic.registry.collect()
        yield from gauges(self.shown)
        for kind in counters.KINDS:
            family = CounterMetricFamily(f"fallline_{kind.name}", kind.help, labels=[kind.label])
            for value in kind.values:
                family.add_metric([value], self.shown.counters.get((kind.name, value), 0))
            yield family


def gauges(shown: Gauges) -> Iterator[Metric]:
    """How things stand at this moment."""
    jobs = GaugeMetricFamily("fallline_jobs", "Jobs that are kept, by state.", labels=["state"])
    for state, count in shown.jobs.items():
        jobs.add_metric([state], count)
    depth = GaugeMetricFamily("fallline_queue_depth", "What waits for a worker.", labels=["pool"])
    depth.add_metric(["training"], shown.jobs["queued"])
    depth.add_metric(["interactive"], shown.tasks["queued"])
    workers = GaugeMetricFamily(
        "fallline_workers", "Warm worker processes, seen lately.", labels=["pool", "device"]
    )
    for pool in ("training", "interactive"):
        for device in counters.DEVICES:
            workers.add_metric([pool, device], shown.workers.get((pool, device), 0))
    oldest = GaugeMetricFamily(
        "fallline_oldest_queued_job_seconds",
        "Age of the job that waits longest; 0 when none does.",
        value=shown.oldest_queued_seconds,
    )
    yield from (jobs, depth, workers, oldest)


@router.get(
    "/metrics",
    operation_id="prometheus_metrics",
    response_class=Response,
    responses={200: SHOWN},
)
def scrape(request: Request, database: DatabaseDep, _: CanAdminister) -> Response:
    """Latency, queue, workers and counters in Prometheus' text format (or OpenMetrics)."""
    traffic: RequestMetrics = request.app.state.traffic
    with database.session(write=False) as session:
        shown = figures.read(session)
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(Exposition(traffic, shown)), media_type=media_type)
