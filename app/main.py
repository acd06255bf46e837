"""The application: lifespan, routers, error handlers; nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from app.api.asgi_types import App, Receive, Scope, Send
from app.api.live.event_stream import FrameCache
from app.api.live.job_loader import JobLoader
from app.api.live.job_watcher import JobWatcher
from app.api.live.key_cache import KeyCache
from app.api.live.task_waiter import TaskWaiter
from app.api.middleware.authentication import AuthenticationMiddleware
from app.api.middleware.body_limits import BodyLimits
from app.api.middleware.etag import ETagMiddleware
from app.api.middleware.job_fast_path import JobFastPath
from app.api.middleware.request_context import RequestContext
from app.api.middleware.request_metrics import RequestMetrics, RequestMetricsMiddleware
from app.api.middleware.trusted_hosts import TrustedHosts
from app.api.prediction.fast_path import PredictFastPath
from app.api.prediction.service import PredictionService
from app.api.requests import idempotency
from app.api.requests.dependencies import authenticated, known_parameters, no_nul
from app.api.responses import problem_details
from app.api.routes import (
    catalog,
    datasets,
    docs,
    events,
    health,
    iterations,
    job_actions,
    jobs,
    keys,
    metrics,
    models,
    predictions,
    prometheus,
)
from app.config import Settings, get_settings
from app.database.session import Database
from app.hints.subscriber import Subscriber
from app.logging import configure_logging
from app.rate_limit import Rates
from app.storage import Storage


class Application(FastAPI):
    """FastAPI within our layers, not around them: of what it does for a request the ones that we
    answer ourselves need nothing."""

    around: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever comes, comes through our layers."""
        await self.around(scope, receive, send)

    async def routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What none of them has answered."""
        await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service's HTTP side. Every route is closed unless ``deps.PUBLIC`` names it."""
    settings = settings or get_settings()
    configure_logging()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(app.state.watch.run())
        yield
        watching.cancel()
        await rates.close()
        app.state.database.dispose()

    app = Application(
        title="Fallline",
        version="1",
        summary="Training as a service",
        lifespan=lifespan,
        dependencies=[Depends(authenticated), Depends(no_nul), Depends(known_parameters)],
        redirect_slashes=False,
        # We measure ourselves (app.api.middleware.request_metrics), and nobody asks for its own.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.database = Database(settings.database_url, quotas=settings.quotas)
    app.state.storage = Storage(settings.storage)
    app.state.looks = JobLoader(app.state.database)
    subscriber = Subscriber(settings.broker_url)
    app.state.watch = JobWatcher(app.state.database, settings.max_watchers, subscriber)
    app.state.teller = FrameCache(app.state.watch)
    app.state.questions = TaskWaiter(app.state.watch)
    app.state.oracle = PredictionService(settings, app.state.database, app.state.storage)
    app.state.traffic = RequestMetrics()
    rates = Rates(settings.broker_url, settings.requests_per_second)
    app.around = surrounded(app.routed, app, settings, rates)
    problem_details.install(app)
    nouns = (docs, health, prometheus, jobs, job_actions, metrics, events, iterations, models)
    for noun in (*nouns, predictions, datasets, keys, catalog):
        app.include_router(noun.router)
    idempotency.assert_all_guarded(app.routes)
    return app


def surrounded(inner: App, app: FastAPI, settings: Settings, rates: Rates) -> App:
    """Our layers; the last one here sees a request first."""
    show = next(r for r in jobs.router.routes if getattr(r, "name", "") == "show")
    inner = JobFastPath(inner, looks=app.state.looks, route=show)
    inner = ETagMiddleware(inner)
    inner = PredictFastPath(inner, oracle=app.state.oracle, routes=predictions.ROUTES)
    inner = AuthenticationMiddleware(
        inner,
        hosts=TrustedHosts(settings),
        keyring=KeyCache(app.state.database),
        rates=rates,
        most_bytes=settings.max_header_bytes,
    )
    inner = RequestContext(inner, bodies=BodyLimits(settings), failed=problem_details.outside)
    return RequestMetricsMiddleware(inner, traffic=app.state.traffic)
