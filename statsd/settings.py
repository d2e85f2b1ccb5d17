"""All settings in one frozen value: flags > environment > `.env` in the working folder > default.

Every setting is one field of `Settings`; its metadata holds the names it goes by, so that the command line, the
loader, `.env.example` and the test that compares the documents all read the same table.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
import ipaddress
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import dotenv
from aiohttp import web

from statsd.errors import SettingsError

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
SECRET_SIGNS = 8  # fewer different ones are a pattern, not a secret
EVERYBODYS = ("your_secret", "your-secret", "changeme", "change_me", "change-me", "secret_key")  # of examples
SECRET_BYTES = 32  # RFC 7518 §3.2: as long as the hash

SHORTEST_KEY, LONGEST_KEY = 16, 64  # bytes of a webhook's secret; Standard Webhooks asks for 24, and shows one of 18
KEY_PREFIX = "whsec_"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _database_url(text: str) -> str:
    if text.startswith("file:"):
        raise ValueError(
            "is a file, but statistics live in PostgreSQL: leave it unset for the embedded server"
            " (its folder is STATS_DATA_DIR), or write postgresql://user:password@host:5432/name"
        )
    if urlsplit(text).scheme not in ("postgresql", "postgres"):
        raise ValueError("must look like postgresql://user:password@host:5432/name")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ValueError(f'must be a port from 0 (any free one) to 65535 (got "{text}")')
    return int(text)


def _host(text: str) -> str:
    if any(c.isspace() or c == "/" for c in text):
        raise ValueError(f'must be a host name or address, such as 127.0.0.1 or 0.0.0.0 (got "{text}")')
    return text


def _number(minimum: float, maximum: float, unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not minimum <= number <= maximum:
            raise ValueError(f'must be a number of {unit} from {minimum:g} to {maximum:g} (got "{text}")')
        return number

    return parse


def _whole(minimum: int, maximum: int, unit: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise ValueError(f'must be a whole number of {unit} from {minimum} to {maximum} (got "{text}")')
        return int(text)

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f'must be one of {", ".join(choices)} (got "{text}")')
        return text.lower()

    return parse


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/").lower() for part in text.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError(f'must be origins such as https://stats.example.org, comma separated (got "{origin}")')
    return origins


def webhook_secret(text: str) -> bytes:
    """Return the key that a `whsec_…` text holds. Raises ValueError that says how one looks."""
    try:
        key = base64.b64decode(text.removeprefix(KEY_PREFIX).encode(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not text.startswith(KEY_PREFIX) or not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(
            f"must be {KEY_PREFIX} and the base64 of {SHORTEST_KEY} to {LONGEST_KEY} bytes,"
            f' such as "{KEY_PREFIX}$(openssl rand -base64 32)" prints'
        )
    return key


def _secrets(text: str) -> tuple[bytes, ...]:
    return tuple(webhook_secret(part) for part in re.split(r"[\s,]+", text.strip()))


def _hosts(given: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in _names(given))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _switch(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f'must be true or false (got "{text}")')
    return words[text.lower()]


def _frontend(text: str) -> str:
    """The origin of a page's address."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f'must be the address of one page, such as https://app.example.org (got "{text}")')
    return f"{parts.scheme}://{parts.netloc}".lower()


def _secret(text: str) -> str:
    if len(text.encode()) < SECRET_BYTES:
        raise ValueError(
            f"must have at least {SECRET_BYTES} bytes (it has {len(text.encode())}): openssl rand -hex 32 prints one"
        )
    if len(set(text)) < SECRET_SIGNS or any(word in text.lower() for word in EVERYBODYS):
        raise ValueError("must be a secret, and this is an example of one: openssl rand -hex 32 prints one")
    return text


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            f'must be addresses or networks such as 10.0.0.0/8 or ::1, comma separated (got "{text}")'
        ) from None


def _setting(
    default: Any, *names: str, parse: Callable[[str], Any], about: str, flag: str = "", secret: bool = False
) -> Any:
    return dataclasses.field(
        default=default,
        repr=not secret,
        metadata={"names": names, "parse": parse, "about": about, "flag": flag},
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the program was told. Read once at start; nothing changes it later."""

    database_url: str | None = _setting(
        None, "DATABASE_URL", parse=_database_url, flag="--database-url", secret=True,
        about="PostgreSQL 15 or newer; unset: the embedded server",
    )  # fmt: skip
    listen_url: str | None = _setting(
        None, "STATS_LISTEN_URL", parse=_database_url, secret=True,
        about="direct connection for LISTEN, where DATABASE_URL goes through PgBouncer",
    )  # fmt: skip
    host: str = _setting("127.0.0.1", "HOST", parse=_host, flag="--host", about="address to listen on")
    port: int = _setting(
        8080, "PORT", "SERVER_PORT", "API_PORT", parse=_port, flag="--port",
        about="port to listen on; 0 takes any free one and prints it",
    )  # fmt: skip
    data_dir: Path = _setting(
        Path("data"), "STATS_DATA_DIR", parse=Path, flag="--data-dir",
        about="folder of the embedded server and of everything else that is kept",
    )  # fmt: skip
    spool_max_bytes: int = _setting(
        1 << 30, "STATS_SPOOL_MAX_BYTES", parse=_whole(1 << 20, 1 << 40, "bytes"),
        about="how much may wait on disk while the database is away",
    )  # fmt: skip
    spool_min_free: int = _setting(
        256 << 20, "STATS_SPOOL_MIN_FREE", parse=_whole(0, 1 << 40, "bytes"),
        about="what the spool leaves free of its disk",
    )  # fmt: skip
    retention_days: int = _setting(
        0, "STATS_RETENTION_DAYS", parse=_whole(0, 36_500, "days"),
        about="after how many days raw page and webhook events are deleted, totals stay; 0 keeps them",
    )  # fmt: skip
    aggregate_seconds: float = _setting(
        10.0, "STATS_AGGREGATE_SECONDS", parse=_number(0.1, 3600, "seconds"),
        about="seconds from one aggregation to the next",
    )  # fmt: skip
    generate_rate: float = _setting(
        0.0, "STATS_GENERATE_RATE", parse=_number(0, 100_000, "events per second"), flag="--generate",
        about="synthetic logins per second made inside serve; 0 is off",
    )  # fmt: skip
    webhook_api_key: str = _setting(
        "", "WEBHOOK_API_KEY", parse=str, secret=True,
        about="what X-API-Key must say on POST /webhook; unset: open",
    )  # fmt: skip
    webhook_secrets: tuple[bytes, ...] = _setting(
        (), "WEBHOOK_SECRET", parse=_secrets, secret=True,
        about="whsec_… that webhooks must be signed with, several while one is replaced; unset: no signatures",
    )  # fmt: skip
    webhook_event_types: tuple[str, ...] = _setting(
        (), "WEBHOOK_EVENT_TYPES", parse=_names,
        about="the event types that webhooks may have, comma separated; unset: any",
    )  # fmt: skip
    webhook_strict: bool = _setting(
        False, "WEBHOOK_STRICT", parse=_switch,
        about="true: webhooks with fields that the contract does not name are refused",
    )  # fmt: skip
    cors_origins: tuple[str, ...] = _setting(
        (), "CORS_ORIGINS", parse=_origins,
        about="other origins whose pages may read statistics and open /ws, comma separated",
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = _setting(
        (), "ALLOWED_HOSTS", parse=_hosts,
        about="names by which the server may be asked, beside this machine's own, comma separated; unset: any",
    )  # fmt: skip
    jwt_secret: str | None = _setting(
        None, "JWT_SECRET", parse=_secret, secret=True,
        about=f"what tokens are signed with, {SECRET_BYTES} bytes at least; unset: made once, kept in the data folder",
    )  # fmt: skip
    jwt_secret_previous: str | None = _setting(
        None, "JWT_SECRET_PREVIOUS", parse=_secret, secret=True,
        about="the secret before, whose tokens still count until they expire",
    )  # fmt: skip
    frontend_url: str | None = _setting(
        None, "FRONTEND_URL", parse=_frontend,
        about="a page of another origin whose users log in here; cookies are then Secure and SameSite=None",
    )  # fmt: skip
    trusted_proxies: tuple[Network, ...] = _setting(
        (), "TRUSTED_PROXIES", parse=_networks,
        about="addresses of proxies whose X-Forwarded-For says who asks, comma separated",
    )  # fmt: skip
    throttle_exempt: tuple[Network, ...] = _setting(
        (), "STATS_THROTTLE_EXEMPT", parse=_networks,
        about="addresses from which logins may be tried, and streams opened, without end, comma separated",
    )  # fmt: skip
    log_level: str = _setting("info", "LOG_LEVEL", parse=_choice(*LOG_LEVELS), about="debug, info, warning or error")
    log_format: str = _setting("text", "LOG_FORMAT", parse=_choice(*LOG_FORMATS), about="text or json")
    no_color: bool = _setting(False, "NO_COLOR", parse=bool, about="set to anything: logs without colour")


SETTINGS: web.AppKey[Settings] = web.AppKey("settings")


def fields() -> dict[str, dataclasses.Field[Any]]:
    """The settings by field name; `metadata` has names, parse, about and flag."""
    return {field.name: field for field in dataclasses.fields(Settings)}


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] = os.environ,
    dotenv_path: Path = Path(".env"),
) -> Settings:
    """Return the settings; `flags` maps field names to what the command line said (None: not given).

    Raises SettingsError that lists every wrong setting, each under the name it was given by.
    """
    sources = (environ, {k: v for k, v in dotenv.dotenv_values(dotenv_path).items() if v is not None})
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, field in fields().items():
        given, text = _given(field, (flags or {}).get(name), sources)
        if text is None:
            continue
        try:
            values[name] = field.metadata["parse"](text)
        except ValueError as wrong:
            faults.append(f"{given}: {wrong}")
    if faults:
        raise SettingsError(faults)
    if "database_url" not in values:
        values["database_url"] = _from_parts(sources)
    return Settings(**values)


def unknown(environ: Mapping[str, str] = os.environ, dotenv_path: Path = Path(".env")) -> list[str]:
    """One sentence for each `STATS_*` name that is no setting, with the nearest one that is."""
    known = [name for field in fields().values() for name in field.metadata["names"]]
    found = sorted({n for n in (*environ, *dotenv.dotenv_values(dotenv_path)) if n.startswith("STATS_")} - {*known})
    sentences = []
    for name in found:
        near = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences


def _given(
    field: dataclasses.Field[Any], flag: str | None, sources: tuple[Mapping[str, str], ...]
) -> tuple[str, str | None]:
    if flag is not None:
        return field.metadata["flag"], flag
    for source in sources:
        for name in field.metadata["names"]:
            if source.get(name):  # an empty variable is how compose files say "unset"
                return name, source[name]
    return "", None


def _from_parts(sources: tuple[Mapping[str, str], ...]) -> str | None:
    """A URL out of libpq's PG* names, else out of the postgres image's POSTGRES_* names."""
    both = {**sources[1], **sources[0]}
    libpq = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "name": "PGDATABASE"}
    parts = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "name": "DB"}
    image = {part: f"POSTGRES_{suffix}" for part, suffix in parts.items()}
    for names in (libpq, image):
        part = {key: both.get(name) or "" for key, name in names.items()}
        if part["host"] or part["name"]:
            return _url(**part)
    return None


def _url(host: str, port: str, user: str, password: str, name: str) -> str:
    login = quote(user or "postgres", safe="") + (f":{quote(password, safe='')}" if password else "")
    database = quote(name or user or "postgres", safe="")
    if host.startswith("/"):
        return f"postgresql://{login}@/{database}?host={quote(host, safe='/')}&port={port or 5432}"
    return f"postgresql://{login}@{host or 'localhost'}:{port or 5432}/{database}"
