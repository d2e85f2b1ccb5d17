"""The limit: aiohttp handlers that do nothing. `POST /event` reads the body, `/ws` reads until the client leaves."""

import asyncio

import uvloop
from aiohttp import web


async def accept(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=b'{"message":"accepted"}', content_type="application/json")


async def converse(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=20.0, compress=False)
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


async def main() -> None:
    app = web.Application(client_max_size=8 << 20)
    app.add_routes([web.post("/event", accept), web.get("/ws", converse)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
