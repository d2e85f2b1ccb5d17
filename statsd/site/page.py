"""The files of the dashboard and of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from statsd import HOME
from statsd.site import docs
from statsd.web.answers import tagged_response
from statsd.web.origins import HEADERS

STATIC = HOME / "static"
ASSETS = {str(path.relative_to(STATIC / "assets")): path for path in (STATIC / "assets").rglob("*") if path.is_file()}
DOCS = {path.name: path for path in (STATIC / "docs").glob("*.html")}
REVALIDATE = {"Cache-Control": "no-cache"}
DOCS_POLICY = HEADERS["Content-Security-Policy"] + "; img-src 'self' data:"
"""Swagger UI's stylesheet contains its icons as `data:` URLs."""


async def dashboard(_: web.Request) -> web.FileResponse:
    """The dashboard."""
    return web.FileResponse(STATIC / "index.html", headers=REVALIDATE)


async def favicon(_: web.Request) -> web.FileResponse:
    """The icon. Browsers request `/favicon.ico` before they have read the page."""
    return web.FileResponse(STATIC / "favicon.svg", headers=REVALIDATE)


async def asset(request: web.Request) -> web.FileResponse:
    """A file of the page. Only files that existed at the start are served, so no path can leave the folder."""
    return _file(ASSETS, request.match_info["name"])


def _file(files: Mapping[str, Path], name: str) -> web.FileResponse:
    if name not in files:
        raise web.HTTPNotFound
    return web.FileResponse(files[name], headers=REVALIDATE)


async def tracker(_: web.Request) -> web.FileResponse:
    """The tracker: a script that sites of any origin embed."""
    headers = {
        "Cache-Control": "public, max-age=3600",
        "Content-Type": "text/javascript; charset=utf-8",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.FileResponse(STATIC / "t.js", headers=headers)


async def docs_page(_: web.Request) -> web.FileResponse:
    """The API's documentation, with a form to try each operation."""
    return web.FileResponse(STATIC / "docs.html", headers={**REVALIDATE, "Content-Security-Policy": DOCS_POLICY})


async def docs_article(request: web.Request) -> web.FileResponse:
    """One of the longer articles, such as that on outages."""
    return _file(DOCS, request.match_info["name"])


async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI document."""
    return tagged_response(request, request.app[docs.DOCUMENT])


ROUTES = [
    web.get("/dashboard", dashboard),
    web.get("/login", dashboard),
    web.get("/register", dashboard),
    web.get("/favicon.svg", favicon),
    web.get("/favicon.ico", favicon),
    web.get("/t.js", tracker),
    web.get("/docs", docs_page),
    web.get("/docs/{name}", docs_article),
    web.get("/openapi.json", openapi),
    web.get("/assets/{name:.+}", asset),
]
