"""All settings in one frozen value: flags > environment > `.env` in the working folder > default.

Each setting is one field of `Settings`. The metadata of the field holds its names, parser, help text and flag, for the
command line, for `load`, and for the test that compares README and `.env.example` with it.
"""

import base64
import dataclasses
import difflib
import ipaddress
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dotenv

from statsd.errors import SettingsError
from statsd.libpq.forms import in_schema, with_environment
from statsd.libpq.plan import plan
from statsd.libpq.url import Url

SCHEMA_BYTES = 63  # PostgreSQL cuts longer names off
SECRET_BYTES = 32  # RFC 7518 §3.2: a key at least as long as the hash
SECRET_CHARACTERS = 8  # different ones; a text with fewer is a pattern, not a secret
PLACEHOLDERS = ("your_secret", "your-secret", "changeme", "change_me", "change-me", "secret_key")  # from examples

SHORTEST_KEY, LONGEST_KEY = 16, 64  # bytes; Standard Webhooks asks for 24 to 64, but its own example has 18
KEY_PREFIX = "whsec_"
SENDER_SECRET = re.compile(r"WEBHOOK_([A-Z0-9]+(?:_[A-Z0-9]+)*)_SECRET")
"""The setting with the secrets of a service that posts to `/webhook/{sender}`."""

_IN_HEADER, _IN_BODY = r"header:[!#$%&'*.^_`|~0-9A-Za-z-]+", r"[^\s,+:.]+(?:\.[^\s,+:.]+)*"
FIELD_PATH = re.compile(rf"(?:{_IN_HEADER}|{_IN_BODY})(?:\+(?:{_IN_HEADER}|{_IN_BODY}))*")
"""Where a field of a webhook stands: a dotted path into the body, `header:Name`, or several of them joined by `+`."""

WAYS_IN = ("logins", "webhooks", "transfers", "pageviews")
"""The streams whose ways in a token may guard; clicks always need the login of their user."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _database_url(text: str) -> str:
    text = text.strip()
    if faults := plan(text).faults:
        raise ValueError("; ".join(faults))
    return text


def _schema(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':  # as SQL writes it
        text = text[1:-1].replace('""', '"')
    is_reserved = text.startswith("pg_") or text in ("information_schema", "$user")  # also in quotes: the role's name
    if not text.isprintable() or not 1 <= len(text.encode()) <= SCHEMA_BYTES or is_reserved:
        raise ValueError(
            f'must be the name of a schema, at most {SCHEMA_BYTES} bytes and not beginning with pg_ (got "{text}")'
        )
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ValueError(f'must be a port from 0 (any free one) to 65535 (got "{text}")')
    return int(text)


def _host(text: str) -> str:
    host = text[1:-1] if text[:1] + text[-1:] == "[]" else text
    if not host or any(c.isspace() or c in "/[]" for c in host):
        raise ValueError(f'must be a host name or address, such as 127.0.0.1 or 0.0.0.0 (got "{text}")')
    if host.count(":") == 1:
        raise ValueError(f'must be a host without its port, which is a setting of its own (got "{text}")')
    return host


def _folder(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("must be the name of a folder")
    return Path(text)


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


def _size(minimum: int, maximum: int) -> Callable[[str], str]:
    """Return a parser of sizes in PostgreSQL's words; the bounds are in megabytes."""

    def parse(text: str) -> str:
        found = re.fullmatch(r"(\d{1,9})(kB|MB|GB|TB)", text, re.ASCII)
        kilobytes = int(found[1]) << {"kB": 0, "MB": 10, "GB": 20, "TB": 30}[found[2]] if found else 0
        if not minimum << 10 <= kilobytes <= maximum << 10:
            raise ValueError(
                f'must be a size from {minimum}MB to {maximum >> 10}GB, such as 512MB or 2GB (got "{text}")'
            )
        return text

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f'must be one of {", ".join(choices)} (got "{text}")')
        return text.lower()

    return parse


def _ways_in(text: str) -> tuple[str, ...]:
    names = _names(text.lower())
    if unknown := sorted({*names} - {*WAYS_IN, "all"}):
        raise ValueError(f'must be all, or some of {", ".join(WAYS_IN)}, comma separated (got "{", ".join(unknown)}")')
    return WAYS_IN if "all" in names else names


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(name.rstrip("/").lower() for name in _names(text))
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError(f'must be origins such as https://stats.example.org, comma separated (got "{origin}")')
    return origins


def webhook_secret(text: str) -> bytes:
    """Return the key in a text `whsec_<base64>` (Standard Webhooks). Raises ValueError with the right form."""
    try:
        key = base64.b64decode(text.removeprefix(KEY_PREFIX).encode(), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(KEY_PREFIX) or not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(
            f"must be {KEY_PREFIX} followed by the base64 of {SHORTEST_KEY} to {LONGEST_KEY} bytes:"
            f' make one with echo "{KEY_PREFIX}$(openssl rand -base64 32)"'
        )
    return key


def _secrets(text: str) -> tuple[bytes, ...]:
    return tuple(webhook_secret(part) for part in re.split(r"[\s,]+", text.strip()))


def _field_paths(text: str) -> tuple[str, ...]:
    paths = tuple(path for path in re.split(r"[\s,]+", text) if path)
    if wrong := [path for path in paths if not FIELD_PATH.fullmatch(path)]:
        raise ValueError(
            "must be dotted paths into the body, such as data.user.id, or header:Name, separated by spaces or commas;"
            f' + joins several (got "{wrong[0]}")'
        )
    return paths


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _switch(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f'must be true or false (got "{text}")')
    return words[text.lower()]


def _origin(text: str) -> str:
    """Return the origin of a page's URL."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f'must be the address of one page, such as https://app.example.org (got "{text}")')
    return f"{parts.scheme}://{parts.netloc}".lower()


def _receiver(text: str) -> str:
    """Return a URL that alerts are posted to. Its path may be a secret, so no message repeats it."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none, or half an IPv6 address
        is_url = False
    if not is_url or not text.isascii() or not text.isprintable() or " " in text or parts.username is not None:
        raise ValueError("must be the URL of a receiver, such as https://hooks.example.org/alerts, without a user name")
    return text


def _secret(text: str) -> str:
    if len(text.encode()) < SECRET_BYTES:
        raise ValueError(
            f"must have at least {SECRET_BYTES} bytes (it has {len(text.encode())}): make one with openssl rand -hex 32"
        )
    if len(set(text)) < SECRET_CHARACTERS or any(word in text.lower() for word in PLACEHOLDERS):
        raise ValueError("must not be an example or a pattern: make a secret with openssl rand -hex 32")
    return text


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(map(_network, _names(text)))
    except ValueError:
        raise ValueError(
            f'must be addresses or networks such as 10.0.0.0/8 or ::1, comma separated (got "{text}")'
        ) from None


def _network(text: str) -> Network:
    """Return a network as clients' addresses are compared: without a zone, IPv4 also if IPv6 only maps it."""
    network = ipaddress.ip_network(re.sub(r"(:.*)%[^/]+", r"\1", text))
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


def _setting(
    default: Any, *names: str, parse: Callable[[str], Any], about: str, flag: str = "", secret: bool = False
) -> Any:
    *short, long = flag.split() or [""]
    metadata = {"names": names, "parse": parse, "about": about, "flag": long, "short": "".join(short)}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def _field_from(field: str, what: str) -> Any:
    about = f"where {what} of webhooks of another form stands: paths such as data.user.id, or header:Name; unset: as"
    return _setting((), f"WEBHOOK_{field}_FROM", parse=_field_paths, about=f"{about} Standard Webhooks has it")


def _retention(stream: str) -> Any:
    about = f"the same for {stream.lower()} alone; unset: STATS_RETENTION_DAYS"
    return _setting(None, f"STATS_RETENTION_DAYS_{stream}", parse=_whole(0, 36_500, "days"), about=about)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The settings: read once at start, never changed."""

    database_url: str | None = _setting(
        None, "DATABASE_URL", parse=_database_url, flag="--database-url", secret=True,
        about="URL of PostgreSQL 15 or newer; unset: the embedded server",
    )  # fmt: skip
    listen_url: str | None = _setting(
        None, "STATS_LISTEN_URL", parse=_database_url, secret=True,
        about="direct URL of the same database for LISTEN; needed if DATABASE_URL goes through a pooler",
    )  # fmt: skip
    schema: str | None = _setting(
        None, "STATS_SCHEMA", parse=_schema,
        about="schema of the database that holds the program's tables; created if missing; unset: public, or what"
        " the role or the URL says",
    )  # fmt: skip
    host: str = _setting("127.0.0.1", "HOST", parse=_host, flag="-H --host", about="address to listen on")
    port: int = _setting(
        8080, "PORT", "SERVER_PORT", "API_PORT", parse=_port, flag="-p --port",
        about="port to listen on; 0: any free port, which is printed",
    )  # fmt: skip
    data_dir: Path = _setting(
        Path("data"), "STATS_DATA_DIR", parse=_folder, flag="-d --data-dir",
        about="folder of the embedded database, the spool and the token secret",
    )  # fmt: skip
    pg_shared_buffers: str | None = _setting(
        None, "STATS_PG_SHARED_BUFFERS", parse=_size(16, 1 << 20),
        about="memory of the embedded PostgreSQL for pages (shared_buffers); unset: 128MB, or less if memory is short",
    )  # fmt: skip
    pg_max_wal_size: str | None = _setting(
        None, "STATS_PG_MAX_WAL_SIZE", parse=_size(64, 1 << 20),
        about="log of the embedded PostgreSQL between two checkpoints (max_wal_size); unset: 1GB",
    )  # fmt: skip
    spool_max_bytes: int = _setting(
        1 << 30, "STATS_SPOOL_MAX_BYTES", parse=_whole(1 << 20, 1 << 40, "bytes"),
        about="largest size of the spool, which keeps events on disk while the database is away",
    )  # fmt: skip
    spool_min_free: int = _setting(
        256 << 20, "STATS_SPOOL_MIN_FREE", parse=_whole(0, 1 << 40, "bytes"),
        about="bytes of its disk that the spool leaves free",
    )  # fmt: skip
    lanes: int = _setting(
        2, "STATS_LANES", parse=_whole(1, 8, "lanes"),
        about="connections that store page views, and likewise webhook events, at once",
    )  # fmt: skip
    retention_days: int = _setting(
        0, "STATS_RETENTION_DAYS", parse=_whole(0, 36_500, "days"),
        about="days that raw rows and the totals with people in them are kept; counts always stay; 0: for ever",
    )  # fmt: skip
    retention_days_logins: int | None = _retention("LOGINS")
    retention_days_webhooks: int | None = _retention("WEBHOOKS")
    retention_days_usage: int | None = _retention("USAGE")
    retention_days_transfers: int | None = _retention("TRANSFERS")
    retention_days_pageviews: int | None = _retention("PAGEVIEWS")
    ip: str = _setting(
        "full", "STATS_IP", parse=_choice("full", "truncated", "none"),
        about="how much of an IP address is stored: full, truncated (IPv4 /24, IPv6 /48) or none",
    )  # fmt: skip
    aggregate_seconds: float = _setting(
        10.0, "STATS_AGGREGATE_SECONDS", parse=_number(0.1, 3600, "seconds"),
        about="seconds between two aggregations, which count rows that other programs inserted",
    )  # fmt: skip
    pace_ms: int = _setting(
        250, "STATS_PACE_MS", parse=_whole(50, 5_000, "milliseconds"),
        about="milliseconds from one frame of a live topic to the next",
    )  # fmt: skip
    lean: bool = _setting(
        True, "STATS_LEAN", parse=_switch, about="off: every request takes the whole way through aiohttp"
    )
    alert_url: str | None = _setting(
        None, "STATS_ALERT_URL", parse=_receiver, secret=True,
        about="URL that alerts are posted to, as signed webhooks that Slack shows, too; unset: none",
    )  # fmt: skip
    alert_secret: bytes = _setting(
        b"", "STATS_ALERT_SECRET", parse=webhook_secret, secret=True,
        about="secret that alerts are signed with (whsec_…); unset: no signatures",
    )  # fmt: skip
    alert_silent_minutes: int = _setting(
        0, "STATS_ALERT_SILENT_MINUTES", parse=_whole(0, 100_000, "minutes"),
        about="minutes without an event after which a stream that ever had one is an alert; 0: never",
    )  # fmt: skip
    generate_rate: float = _setting(
        0.0, "STATS_GENERATE_RATE", parse=_number(0, 100_000, "events per second"), flag="--generate",
        about="synthetic logins per second inside serve; 0: none",
    )  # fmt: skip
    demo: bool = _setting(
        False, "STATS_DEMO", parse=_switch, flag="--demo",
        about="true: events of all streams, with a month of history, in a database of their own",
    )  # fmt: skip
    webhook_api_key: str = _setting(
        "", "WEBHOOK_API_KEY", parse=str, secret=True,
        about="key that POST /webhook requires in the X-API-Key header; unset: none",
    )  # fmt: skip
    webhook_secrets: tuple[bytes, ...] = _setting(
        (), "WEBHOOK_SECRET", parse=_secrets, secret=True,
        about="secrets for signed webhooks (whsec_…, separated by spaces or commas); unset: no signatures",
    )  # fmt: skip
    webhook_event_types: tuple[str, ...] = _setting(
        (), "WEBHOOK_EVENT_TYPES", parse=_names,
        about="event types that webhooks may have, comma separated; unset: any",
    )  # fmt: skip
    webhook_strict: bool = _setting(
        False, "WEBHOOK_STRICT", parse=_switch, about="true: refuse webhooks with unknown fields"
    )
    webhook_type_from: tuple[str, ...] = _field_from("TYPE", "the type")
    webhook_user_from: tuple[str, ...] = _field_from("USER", "the user id")
    webhook_time_from: tuple[str, ...] = _field_from("TIME", "the time")
    webhook_id_from: tuple[str, ...] = _field_from("ID", "the id, which makes it count once,")
    sender_secrets: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, repr=False)
    """The secrets of WEBHOOK_<NAME>_SECRET by the name in lower case; the table of presets says which names exist."""
    require_login: bool = _setting(
        False, "STATS_REQUIRE_LOGIN", parse=_switch,
        about="true: reading needs a login, a token or a share link (page, API, sockets, streams, exports)",
    )  # fmt: skip
    registration: str = _setting(
        "", "STATS_REGISTRATION", parse=_choice("open", "closed"),
        about="open: anybody may register; closed: invited people only; unset: open, closed with STATS_REQUIRE_LOGIN",
    )  # fmt: skip
    metrics: str = _setting(
        "", "STATS_METRICS", parse=_choice("open", "login", "off"),
        about="who may read /metrics: open, login (admins, and tokens for it) or off; unset: as all other reading",
    )  # fmt: skip
    require_ingest_token: tuple[str, ...] = _setting(
        (), "STATS_REQUIRE_INGEST_TOKEN", parse=_ways_in,
        about=f"streams whose ways in need a token, comma separated: {', '.join(WAYS_IN)}, or all; unset: none",
    )  # fmt: skip
    cors_origins: tuple[str, ...] = _setting(
        (), "CORS_ORIGINS", parse=_origins,
        about="other origins whose pages may read with credentials and open sockets, comma separated",
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = _setting(
        (), "ALLOWED_HOSTS", parse=lambda text: _names(text.lower()),
        about="host names the server answers to, comma separated (protects against DNS rebinding), beside its own;"
        " unset: any, but on a loopback address none of the public DNS",
    )  # fmt: skip
    public_url: str | None = _setting(
        None, "STATS_PUBLIC_URL", parse=_origin,
        about="URL that browsers use; https: cookies become Secure and __Host-, HSTS is sent",
    )  # fmt: skip
    jwt_secret: str | None = _setting(
        None, "JWT_SECRET", parse=_secret, secret=True,
        about=f"secret that signs tokens, at least {SECRET_BYTES} bytes; unset: made once and kept in the data folder",
    )  # fmt: skip
    jwt_secret_previous: str | None = _setting(
        None, "JWT_SECRET_PREVIOUS", parse=_secret, secret=True,
        about="previous JWT_SECRET, whose tokens are accepted until they expire",
    )  # fmt: skip
    frontend_url: str | None = _setting(
        None, "FRONTEND_URL", parse=_origin,
        about="URL of a page of another origin whose users log in here; cookies become Secure; SameSite=None",
    )  # fmt: skip
    trusted_proxies: tuple[Network, ...] = _setting(
        (), "TRUSTED_PROXIES", parse=_networks,
        about="proxies whose X-Forwarded-* or Forwarded is believed (addresses or networks, comma separated)",
    )  # fmt: skip
    throttle_exempt: tuple[Network, ...] = _setting(
        (), "STATS_THROTTLE_EXEMPT", parse=_networks,
        about="addresses without limits on logins, sockets and streams, for load tests (networks too, comma separated)",
    )  # fmt: skip
    token: str = _setting(
        "", "STATS_TOKEN", parse=str, flag="--token", secret=True,
        about="token that `generate --url` sends: an API token, or for clicks that of a user; unset: none",
    )  # fmt: skip
    log_level: str = _setting(
        "info", "LOG_LEVEL", parse=_choice("debug", "info", "warning", "error"), about="debug, info, warning or error"
    )
    log_format: str = _setting("text", "LOG_FORMAT", parse=_choice("text", "json"), about="text or json")
    no_color: bool = _setting(False, "NO_COLOR", parse=bool, about="set to any value: logs without colours")

    def __post_init__(self) -> None:
        """Let the URLs lead into the schema, so that every connection and every program of PostgreSQL uses it."""
        for name in ("database_url", "listen_url"):
            if url := getattr(self, name):
                object.__setattr__(self, name, self.in_schema(url))

    def in_schema(self, url: str) -> str:
        """Return the URL of a database, leading into the schema if there is one."""
        return in_schema(url, self.schema) if self.schema else url

    @property
    def is_registration_open(self) -> bool:
        """Whether anybody may register without an invitation."""
        return self.registration == "open" or not (self.registration or self.require_login)

    def retention(self, stream: str) -> int:
        """Return how many days a stream keeps its raw rows; 0: for ever, as for streams without such a setting."""
        own: int | None = getattr(self, f"retention_days_{stream}", 0)
        return self.retention_days if own is None else own


def fields() -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of `Settings` by name; `metadata` has names, parse, about and flag.

    Without `sender_secrets`, whose names follow from the table of presets.
    """
    return {field.name: field for field in dataclasses.fields(Settings) if field.metadata}


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] = os.environ,
    dotenv_path: Path = Path(".env"),
) -> Settings:
    """Return the settings. `flags` maps field names to the texts of the command line (None: absent).

    Raises SettingsError with every wrong setting, each under the name that set it.
    """
    sources = (environ, _dotenv(dotenv_path))
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, field in fields().items():
        source_name, text = _look_up(field, (flags or {}).get(name), sources)
        if text is None:
            continue
        try:
            values[name] = field.metadata["parse"](text)
        except ValueError as fault:
            faults.append(f"{source_name}: {fault}")
    faults += _complete_urls(values, {**sources[1], **sources[0]}, bool(faults))
    if faults:
        raise SettingsError(faults)
    return Settings(**values, sender_secrets=_sender_secrets(sources))


def notes(settings: Settings) -> list[str]:
    """Return a sentence for each parameter of a database URL that is left out."""
    urls = {"DATABASE_URL": settings.database_url, "STATS_LISTEN_URL": settings.listen_url}
    return [f"{name}: {note}" for name, url in urls.items() if url for note in plan(url).notes]


def unknown(environ: Mapping[str, str] = os.environ, dotenv_path: Path = Path(".env")) -> list[str]:
    """Return a sentence for each variable `STATS_*` that is not a setting, with the most similar setting."""
    known = [name for field in fields().values() for name in field.metadata["names"]]
    names = {name for name in (*environ, *_dotenv(dotenv_path)) if name.startswith("STATS_")}
    sentences = []
    for name in sorted(names - {*known}):
        near = difflib.get_close_matches(name, known, n=1)
        sentences.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences


def _dotenv(path: Path) -> Mapping[str, str | None]:
    try:
        return dotenv.dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read as a text in UTF-8: {error}"]) from error


def _look_up(
    field: dataclasses.Field[Any], flag: str | None, sources: Sequence[Mapping[str, str | None]]
) -> tuple[str, str | None]:
    """Return the name that sets a field, and its text; "" and None if nothing does."""
    if flag is not None:
        return field.metadata["flag"], flag
    for source in sources:
        for name in field.metadata["names"]:
            if source.get(name):  # compose files pass an unset variable as an empty one
                return name, source[name]
    return "", None


def _sender_secrets(sources: Sequence[Mapping[str, str | None]]) -> dict[str, tuple[str, ...]]:
    """Return the secrets of each sender. They are separated by commas only: a passphrase has spaces."""
    texts = {
        match[1].lower(): source[match[0]] or ""
        for source in reversed(sources)
        for match in map(SENDER_SECRET.fullmatch, source)
        if match and source[match[0]]
    }
    return {sender: secrets for sender, text in texts.items() if (secrets := _names(text))}


def _complete_urls(values: dict[str, Any], variables: Mapping[str, str | None], is_wrong: bool) -> Iterator[str]:
    """Add to the URLs what libpq's variables say; yield what is wrong with those, or with both together."""
    if "database_url" not in values and not is_wrong:
        values["database_url"] = _from_parts(variables)
    for name in ("database_url", "listen_url"):
        if url := values.get(name):
            try:
                values[name] = _database_url(with_environment(url, variables))
            except ValueError as fault:
                yield str(fault)


def _from_parts(variables: Mapping[str, str | None]) -> str | None:
    """Return a URL made from libpq's PG* variables, else from the POSTGRES_* variables of the postgres image."""
    libpq = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")
    image = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")
    for names in (libpq, image):
        host, port, user, password, database = (variables.get(name) or "" for name in names)
        if host or database:
            name = database or user or "postgres"
            return Url(user or "postgres", password, host or "localhost", port or "5432", name).text()
    return Url().having(service=variables["PGSERVICE"] or "").text() if variables.get("PGSERVICE") else None
