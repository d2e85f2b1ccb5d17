"""What one would write first: FastAPI, and one insert for each event. PGHOST and the like name the database."""

# mypy: ignore-errors

import logging
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

INSERT = "insert into events (site_id, event_type, path, user_id, timestamp) values ($1, $2, $3, $4, $5)"


class Event(BaseModel):
    site_id: str
    event_type: str
    path: str
    user_id: str | None = None
    timestamp: datetime


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(min_size=10, max_size=10) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/event", status_code=202)
async def accept(event: Event):
    await app.state.pool.execute(INSERT, event.site_id, event.event_type, event.path, event.user_id, event.timestamp)
    return {"message": "stored"}


logging.basicConfig(level=logging.INFO)
uvicorn.run(app, host="127.0.0.1", port=0, access_log=False)
