"""The application: lifespan, routers, error handlers; nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from app.api import (
    answers,
    catalog,
    control,
    datasets,
    docs,
    events,
    health,
    iterations,
    jobs,
    keys,
    metrics,
    models,
    monitoring,
    predictions,
    problems,
)
from app.api.asgi import App, Receive, Scope, Send
from app.api.bodies import Bodies
from app.api.conditional import Conditional
from app.api.context import RequestContext
from app.api.deps import authenticated, known_parameters, no_nul
from app.api.door import Door
from app.api.hosts import Hosts
from app.api.keyring import Keyring
from app.api.looks import Looks
from app.api.oracle import Oracle
from app.api.polls import Polls
from app.api.predict import Predict
from app.api.questions import Questions
from app.api.streams import Teller
from app.api.traffic import Measured, Traffic
from app.config import Settings, get_settings
from app.db import Database
from app.log import configure_logging
from app.rates import Rates
from app.storage import Storage
from app.watch import Watch


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
        # We measure ourselves (app.api.traffic), and nobody asks for its own.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.database = Database(settings.database_url, quotas=settings.quotas)
    app.state.storage = Storage(settings.storage)
    app.state.looks = Looks(app.state.database)
    app.state.watch = Watch(app.state.database, settings.max_watchers)
    app.state.teller = Teller(app.state.watch)
    app.state.questions = Questions(app.state.watch)
    app.state.oracle = Oracle(settings, app.state.database, app.state.storage)
    app.state.traffic = Traffic()
    rates = Rates(settings.broker_url, settings.requests_per_second)
    app.around = surrounded(app.routed, app, settings, rates)
    problems.install(app)
    nouns = (docs, health, monitoring, jobs, control, metrics, events, iterations, models)
    for noun in (*nouns, predictions, datasets, keys, catalog):
        app.include_router(noun.router)
    answers.guarded(app.routes)
    return app


def surrounded(inner: App, app: FastAPI, settings: Settings, rates: Rates) -> App:
    """Our layers; the last one here sees a request first."""
    show = next(r for r in jobs.router.routes if getattr(r, "name", "") == "show")
    inner = Polls(inner, looks=app.state.looks, route=show)
    inner = Conditional(inner)
    inner = Predict(inner, oracle=app.state.oracle, routes=predictions.ROUTES)
    inner = Door(
        inner,
        hosts=Hosts(settings),
        keyring=Keyring(app.state.database),
        rates=rates,
        most_bytes=settings.max_header_bytes,
    )
    inner = RequestContext(inner, bodies=Bodies(settings), failed=problems.outside)
    return Measured(inner, traffic=app.state.traffic)
