"""`openapi`: print the OpenAPI 3.1 document of the HTTP API."""

import argparse

import msgspec

from statsd import app
from statsd.settings import Settings
from statsd.site import docs

EXAMPLE = "openapi > openapi.json"


async def run(arguments: argparse.Namespace, settings: Settings) -> None:
    document = app.make_app(Settings())[docs.DOCUMENT]()  # it is the same under all settings
    print(msgspec.json.format(document, indent=2).decode())
