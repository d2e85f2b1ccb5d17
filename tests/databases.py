"""Addresses of databases."""

from __future__ import annotations

import re


def renamed(dsn: str, name: str) -> str:
    """The same server, another database."""
    return re.sub(r"/statsd(?=\?|$)", f"/{name}", dsn)
