"""The files of the dashboard and of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from statsd import HOME
from statsd.web.operation import Operation, Parameter, answer
from statsd.web.origins import HEADERS

STATIC = HOME / "static"
ASSETS = {str(path.relative_to(STATIC / "assets")): path for path in (STATIC / "assets").rglob("*") if path.is_file()}
DOCS = {path.name: path for path in (STATIC / "docs").glob("*.html")}
REVALIDATE = {"Cache-Control": "no-cache"}
DOCS_POLICY = HEADERS["Content-Security-Policy"] + "; img-src 'self' data:"
"""Swagger UI's stylesheet has its icons in `data:` addresses."""


def _file(media: str) -> Operation:
    return Operation(tagged=True, answers={200: answer("the file", media=media)})


@_file("text/html")
async def dashboard(_: web.Request) -> web.FileResponse:
    """`GET /dashboard`, `/login`, `/register`, and `/` for browsers: the page; what it shows is its own affair."""
    return web.FileResponse(STATIC / "index.html", headers=REVALIDATE)


@_file("image/svg+xml")
async def favicon(_: web.Request) -> web.FileResponse:
    """`GET /favicon.svg`, and `/favicon.ico`: the icon, also for browsers that do not read the page."""
    return web.FileResponse(STATIC / "favicon.svg", headers=REVALIDATE)


@Operation(
    path={"name": Parameter(str, "below `/assets/`; may hold slashes", example="app.js")},
    tagged=True,
    answers={200: answer("the file", media="*/*"), 404: "there is no such file"},
)
async def asset(request: web.Request) -> web.FileResponse:
    """`GET /assets/…`: one of the files that were there at the start, looked up by name and never by path."""
    return _found(ASSETS, request.match_info["name"])


def _found(files: Mapping[str, Path], name: str) -> web.FileResponse:
    if name not in files:
        raise web.HTTPNotFound
    return web.FileResponse(files[name], headers=REVALIDATE)


@_file("text/javascript")
async def tracker(_: web.Request) -> web.FileResponse:
    """`GET /t.js`: the tracker, a script that sites of whatever origin embed."""
    headers = {
        "Cache-Control": "public, max-age=3600",
        "Content-Type": "text/javascript; charset=utf-8",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.FileResponse(STATIC / "t.js", headers=headers)


@_file("text/html")
async def docs(_: web.Request) -> web.FileResponse:
    """`GET /docs`: how to use this API, and a form to try each operation."""
    return web.FileResponse(STATIC / "docs.html", headers={**REVALIDATE, "Content-Security-Policy": DOCS_POLICY})


@Operation(
    path={"name": Parameter(str, "of a page that `/docs` links to", example="servers.html")},
    tagged=True,
    answers={200: answer("the page", media="text/html"), 404: "there is no such page"},
)
async def docs_page(request: web.Request) -> web.FileResponse:
    """`GET /docs/…`: a page about operating, outages, several servers, poolers or streams."""
    return _found(DOCS, request.match_info["name"])


@Operation(tagged=True, answers={200: answer("the document", document={"openapi": "3.1.0"})})
async def openapi(_: web.Request) -> web.FileResponse:
    """`GET /openapi.json`: this document."""
    return web.FileResponse(STATIC / "openapi.json", headers=REVALIDATE)


ROUTES = [
    web.get("/dashboard", dashboard),
    web.get("/login", dashboard),
    web.get("/register", dashboard),
    web.get("/favicon.svg", favicon),
    web.get("/favicon.ico", favicon),
    web.get("/t.js", tracker),
    web.get("/docs", docs),
    web.get("/docs/{name}", docs_page),
    web.get("/openapi.json", openapi),
    web.get("/assets/{name:.+}", asset),
]
