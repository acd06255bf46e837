"""The contract as a document, and a page to read it on; nothing comes from another origin."""

from importlib.resources import files
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.api.responses.openapi import document

router = APIRouter(include_in_schema=False)

ASSETS = files("fastapi_swagger.resources")
"""Swagger UI as it was released, in a package: the page needs no network."""

TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Fallline: the HTTP interface</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  persistAuthorization: false, defaultModelsExpandDepth: 0, docExpansion: "list",
});
"""
# Swagger UI sets styles on elements and carries its icons as data.
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "max-age=3600",
}


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(document(request.app))


@router.get("/docs")
def page() -> Response:
    """The page."""
    return HTMLResponse(PAGE, headers=HEADERS)


@router.get("/docs/start.js")
def start() -> Response:
    """What the page runs; a file of its own, for the policy allows no script within a page."""
    return Response(START, media_type="text/javascript", headers=HEADERS)


@router.get("/docs/{name}")
def asset(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> Response:
    """A file of Swagger UI."""
    return Response(ASSETS.joinpath(name).read_bytes(), media_type=TYPES[name], headers=HEADERS)
