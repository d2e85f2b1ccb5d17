"""How the program connects to the database of a URL: what asyncpg is given, and what the log says of the rest."""

import difflib
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from statsd.libpq import options
from statsd.libpq.parameters import (
    CHOICES,
    FILES,
    FIXED,
    KNOWN,
    LEFT_OUT,
    NO,
    REFUSED,
    SCHEMAS,
    SETTINGS,
    SSL_MODES,
    YES,
)
from statsd.libpq.url import ENCODE, PARTS, Url, parse

MOST_CONNECT_SECONDS = 30
TLS = ("sslcert", "sslkey", "sslpassword", "sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version")
SYSTEM = "system"


@dataclass(slots=True, repr=False)
class Plan:
    """`arguments` are those of `asyncpg.connect`, `settings` the session settings that the URL asks for.

    `connect_seconds` is None if the URL does not say. `faults` are sentences about what cannot be honoured, `notes`
    about what is left out. Neither repeats a value that may be a secret.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    connect_seconds: float | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@cache
def plan(text: str) -> Plan:
    """Return how to connect to the database of a URL. Raises ValueError if the URL has no such form."""
    url, made = parse(text), Plan()
    try:
        url = with_service(url)
    except ValueError as error:
        made.faults.append(str(error))
    made.faults += [*value_faults(url), *_conflicts(url)]
    made.notes += _notes(url)
    if not made.faults:
        made.settings = settings_of(url)
        made.notes += [f"{name} is left out: the program sets it itself" for name in FIXED if name in made.settings]
        if url.get("connect_timeout"):
            seconds = int(url.get("connect_timeout"))
            made.connect_seconds = min(seconds, MOST_CONNECT_SECONDS) if seconds > 0 else MOST_CONNECT_SECONDS
        made.arguments = _arguments(url)
    return made


def value_faults(url: Url) -> Iterator[str]:
    """Yield what is wrong with each parameter by itself."""
    for name, value in (url.parameters or {}).items():
        if name not in KNOWN and "." not in name:
            yield _unknown(name, value, url)
        elif not value:  # as if it were not there
            continue
        elif name in CHOICES and value not in CHOICES[name]:
            yield f'{name} must be one of {", ".join(CHOICES[name])} (got "{value}")'
        elif name in FILES and value != SYSTEM and not Path(value).is_file():
            yield f"{name} names a file that is not there"
        elif name in REFUSED and value.lower() not in REFUSED[name].harmless:
            yield f"{name} cannot be honoured: {REFUSED[name].reason}"
        elif name == "connect_timeout" and not re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
            yield "connect_timeout must be a whole number of seconds"
        elif name == "ssl" and value.lower() not in (*YES, *NO, *SSL_MODES):
            yield f"ssl must be true, or write sslmode with one of {', '.join(SSL_MODES)}"


def _conflicts(url: Url) -> Iterator[str]:
    """Yield which parameters do not go together."""
    mode, asked = ssl_mode(url), url.get("sslmode")
    if url.get("sslrootcert") == SYSTEM and asked not in ("", "verify-full"):
        yield "sslrootcert=system needs sslmode=verify-full"
    if url.get("channel_binding") == "require" and asked == "disable":
        yield "channel_binding=require needs TLS, and sslmode=disable has none"
    if url.get("sslnegotiation") == "direct" and mode not in SSL_MODES[3:]:
        yield "sslnegotiation=direct needs sslmode=require, verify-ca or verify-full"
    if mode in SSL_MODES[4:] and not (url.get("sslrootcert") or Path("~/.postgresql/root.crt").expanduser().exists()):
        yield f"sslmode={mode} needs sslrootcert: the file of the CA, or system for the CAs that this machine trusts"
    if url.host and url.get("hostaddr") and mode == "verify-full":
        yield "hostaddr cannot be honoured with sslmode=verify-full: leave it out, or write sslmode=verify-ca"
    hosts = len((url.get("hostaddr") or url.host).split(","))
    if len(url.port.split(",")) not in (1, hosts):
        yield "port must be one number, or as many as there are hosts"


def _unknown(name: str, value: str, url: Url) -> str:
    if "@" in value and not url.user:  # then this is a piece of a password
        return ENCODE
    by_lower = {known.lower(): known for known in KNOWN}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f"did you mean {by_lower[near[0]]}?" if near else "settings of PostgreSQL go into options=-c%20name%3Dvalue"
    return f'unknown parameter "{name}": {hint}'


def _notes(url: Url) -> Iterator[str]:
    for name, value in (url.parameters or {}).items():
        if name == "channel_binding" and value == "require" and ssl_mode(url) == "verify-full":
            yield f"{name} is left out: the program cannot bind the login to TLS, but sslmode=verify-full is checked"
        elif name in LEFT_OUT and value and value.lower() not in LEFT_OUT[name].harmless:
            yield f"{name} is left out: {LEFT_OUT[name].reason}"


def with_service(url: Url) -> Url:
    """Add what the service file says of the URL's service, where the URL says nothing. Raises ValueError."""
    name = url.get("service")
    if not name:
        return url
    folder = os.environ.get("PGSYSCONFDIR", "/etc/postgresql-common")
    files = (url.get("servicefile") or "~/.pg_service.conf", f"{folder}/pg_service.conf")
    for file in (Path(path).expanduser() for path in files):
        section = _section(file.read_text(), name) if file.is_file() else None
        if section is not None:
            parts = {part: section.pop(key) for key, part in PARTS.items() if key in section}
            parts = {part: value for part, value in parts.items() if not getattr(url, part)}
            return replace(url, **parts, parameters={**section, **(url.parameters or {})})
    raise ValueError(f'there is no service "{name}" in {files[0]}')


def _section(text: str, name: str) -> dict[str, str] | None:
    """Return the parameters of a section of a service file, or None."""
    found: dict[str, str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            if found is not None:
                break
            found = {} if line == f"[{name}]" else None
        elif found is not None and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key.strip(), value.strip())
    return found


def settings_of(url: Url) -> dict[str, str]:
    """Return the session settings that a URL asks for."""
    settings, rest = options.split(url.get("options"))
    if rest:
        settings["options"] = options.join({}, rest)
    for name, value in (url.parameters or {}).items():
        if name in SETTINGS or ("." in name and name not in KNOWN):
            settings[name.lower()] = value
        elif name in SCHEMAS and value:
            settings["search_path"] = options.identifier(value) if name == "schema" else value
    return settings


def ssl_mode(url: Url) -> str:
    """Return the mode of TLS, never weaker than any parameter asks for; empty: asyncpg's default."""
    mode, plain = url.get("sslmode"), url.get("ssl").lower()
    if not mode and (plain in YES or url.get("requiressl") == "1"):
        mode = "require"
    elif not mode and plain in SSL_MODES:
        mode = plain
    if not mode and url.get("sslrootcert") == SYSTEM:
        mode = "verify-full"
    if url.get("channel_binding") == "require" and mode in ("", "allow", "prefer"):
        mode = "require"
    return mode


def _arguments(url: Url) -> dict[str, Any]:
    hosts = (url.get("hostaddr") or url.host).split(",") if url.get("hostaddr") or url.host else []
    ports = [int(port) for port in url.port.split(",")] if url.port else []
    arguments: dict[str, Any] = {
        "host": hosts or None,
        "port": (ports[0] if len(ports) == 1 else ports) or None,
        "user": url.user or None,
        "password": url.password or None,
        "database": url.database or None,
        "passfile": url.get("passfile") or None,
        "krbsrvname": url.get("krbsrvname") or None,
        "gsslib": url.get("gsslib") or None,
        "target_session_attrs": url.get("target_session_attrs") or None,
    }
    if hosts and all(host.startswith("/") for host in hosts):
        return {**arguments, "ssl": False}  # libpq has no TLS over a socket, whatever PGSSLMODE says
    if url.get("sslrootcert") == SYSTEM:
        return {**arguments, "ssl": system_context(url), "direct_tls": url.get("sslnegotiation") == "direct"}
    tls = {"sslmode": ssl_mode(url), **{name: url.get(name) for name in (*TLS, "sslrootcert", "sslnegotiation")}}
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in tls.items() if value)
    return {**arguments, "dsn": f"postgresql://?{pairs}" if pairs else None}


def system_context(url: Url) -> ssl.SSLContext:
    """Return what checks a server's certificate and name against the CAs that this machine trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])  # PostgreSQL asks for it where TLS begins at once
    if url.get("sslcert"):
        context.load_cert_chain(url.get("sslcert"), url.get("sslkey") or None, lambda: url.get("sslpassword"))
    if url.get("sslcrl"):
        context.load_verify_locations(url.get("sslcrl"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if oldest := url.get("ssl_min_protocol_version"):
        context.minimum_version = ssl.TLSVersion[oldest.replace(".", "_")]
    if newest := url.get("ssl_max_protocol_version"):
        context.maximum_version = ssl.TLSVersion[newest.replace(".", "_")]
    return context
