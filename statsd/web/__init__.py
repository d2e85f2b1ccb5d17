"""HTTP around every handler: requests, answers, origins, and a response for every error."""

from aiohttp import web

from statsd.settings import Settings

SETTINGS: web.AppKey[Settings] = web.AppKey("settings")
"""Here and not in settings.py, so that the command line does not import aiohttp."""
