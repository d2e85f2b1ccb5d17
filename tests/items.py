"""Items, owners and transfers: the well-known rows, and how they are asked for over HTTP."""

from __future__ import annotations

from typing import Any

BIKE = "8645a131-a7ae-4569-bb3c-1f1c7ae86829"
BRICKS = "77a09016-e314-419d-a779-274daa77281f"
ADA = "30f6df32-03cf-4779-833b-aef9b1e3f61f"
GRACE = "d29fcf2a-9611-44bf-8c78-4c939c96539c"
ITEM = "850bbe50-4686-4026-9de0-94ba4b8bafa7"
NOBODY = "01a1fbf8-34c0-7ac8-b7b2-1749eb2b4d4f"


async def post(client: Any, path: str, body: object, status: int, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post(path, json=body, headers=names) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def put(client: Any, item: object, to: object, status: int, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.put(f"/items/{item}/ownership", json={"to": to}, headers=names) as response:
        assert response.status == status, await response.text()
        return await response.json() if status != 204 else await response.read()


async def get(client: Any, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json()
