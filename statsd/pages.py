"""The dashboard's files: one page, and its assets."""

from __future__ import annotations

from aiohttp import web

from statsd import HOME

STATIC = HOME / "static"
ASSETS = {str(path.relative_to(STATIC / "assets")): path for path in (STATIC / "assets").rglob("*") if path.is_file()}
REVALIDATE = {"Cache-Control": "no-cache"}


async def dashboard(_: web.Request) -> web.FileResponse:
    """`GET /` and `/dashboard`: the page; which panel it shows is its own affair."""
    return web.FileResponse(STATIC / "index.html", headers=REVALIDATE)


async def favicon(_: web.Request) -> web.FileResponse:
    """`GET /favicon.svg`, and `/favicon.ico` for browsers that do not read the page."""
    return web.FileResponse(STATIC / "favicon.svg", headers=REVALIDATE)


async def asset(request: web.Request) -> web.FileResponse:
    """`GET /assets/…`: one of the files that were there at the start, looked up by name and never by path."""
    path = ASSETS.get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(path, headers=REVALIDATE)


async def tracker(_: web.Request) -> web.FileResponse:
    """`GET /t.js`: the script that sites embed, from whatever origin."""
    headers = {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
    return web.FileResponse(STATIC / "t.js", headers=headers)


def routes() -> list[web.RouteDef]:
    """The page's routes."""
    return [
        web.get("/", dashboard),
        web.get("/dashboard", dashboard),
        web.get("/favicon.svg", favicon),
        web.get("/favicon.ico", favicon),
        web.get("/t.js", tracker),
        web.get("/assets/{name:.+}", asset),
    ]
