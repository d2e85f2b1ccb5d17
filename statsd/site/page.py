"""The files of the dashboard and of the documentation."""

import asyncio

from aiohttp import web

from statsd import HOME
from statsd.accounts import access
from statsd.errors import Unauthenticated
from statsd.site import docs
from statsd.web import SETTINGS
from statsd.web.answers import tagged_response
from statsd.web.operation import Operation
from statsd.web.origins import HEADERS

STATIC = HOME / "static"
FILES = {str(path.relative_to(STATIC)): path for path in STATIC.rglob("*") if path.is_file()}
"""Only files that existed at the start are served, so no path can leave the folder."""
REVALIDATE = {"Cache-Control": "no-cache"}
SHARE = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
"""The address of a share link is its secret: no other site may learn it."""
DOCS_POLICY = HEADERS["Content-Security-Policy"] + "; img-src 'self' data:"
"""Swagger UI's stylesheet contains its icons as `data:` URLs."""

FILE = Operation(access="open", documented=False, strict=False)


def _file(name: str) -> web.FileResponse:
    if name not in FILES:
        raise web.HTTPNotFound
    return web.FileResponse(FILES[name], headers=REVALIDATE)


@FILE
async def dashboard(request: web.Request) -> web.StreamResponse:
    """The dashboard."""
    settings = request.app[SETTINGS]
    marks = ['data-demo=""'] * settings.demo + ['data-locked=""'] * settings.require_login
    if settings.require_login or not settings.is_registration_open:
        marks.append(f'data-registration="{"open" if settings.is_registration_open else "closed"}"')
    return _page(" ".join(marks), REVALIDATE) if marks else _file("index.html")


def _page(mark: str, headers: dict[str, str], status: int = 200) -> web.Response:
    """Return the page with an attribute that tells its scripts what it is for."""
    text = FILES["index.html"].read_text().replace("<html ", f"<html {mark} ", 1)
    return web.Response(text=text, content_type="text/html", headers=headers, status=status)


@FILE
async def share(request: web.Request) -> web.Response:
    """The page of a share link: one view, and nothing else. 404 once the link has ended."""
    try:
        caller = await access.identify(request.app, access.link(request.match_info["secret"]))
    except Unauthenticated:
        return _page('data-view=""', SHARE, 404)
    return _page(f'data-view="{caller.view}"', SHARE)


@FILE
async def favicon(_: web.Request) -> web.FileResponse:
    """The icon. Browsers request `/favicon.ico` before they have read the page."""
    return _file("favicon.svg")


@FILE
async def asset(request: web.Request) -> web.FileResponse:
    """A file of the page."""
    return _file(f"assets/{request.match_info['name']}")


@FILE
async def tracker(_: web.Request) -> web.FileResponse:
    """The tracker: a script that sites of any origin embed."""
    headers = {
        "Cache-Control": "public, max-age=3600",
        "Access-Control-Allow-Origin": "*",  # for tags with `crossorigin`, which `integrity` needs
        "Content-Type": "text/javascript; charset=utf-8",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.FileResponse(STATIC / "t.js", headers=headers)


@FILE
async def docs_page(_: web.Request) -> web.FileResponse:
    """The API's documentation, with a form to try each operation."""
    return web.FileResponse(STATIC / "docs.html", headers={**REVALIDATE, "Content-Security-Policy": DOCS_POLICY})


@FILE
async def docs_article(request: web.Request) -> web.FileResponse:
    """One of the longer articles, such as that on outages."""
    return _file(f"docs/{request.match_info['name']}")


@FILE
async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI document."""
    return tagged_response(request, await asyncio.to_thread(request.app[docs.DOCUMENT]))


ROUTES = [
    web.get("/dashboard", dashboard),
    web.get("/login", dashboard),
    web.get("/register", dashboard),
    web.get("/share/{secret}", share),
    web.get("/favicon.svg", favicon),
    web.get("/favicon.ico", favicon),
    web.get("/t.js", tracker),
    web.get("/docs", docs_page),
    web.get("/docs/{name}", docs_article),
    web.get("/openapi.json", openapi),
    web.get("/assets/{name:.+}", asset),
]
