"""Takes the URL of a database apart, and puts it together again.

A password that is not percent-encoded splits a URL at the wrong place. Then the parts of the password stand where the
host, the port, the path or a parameter should be, so no message here repeats a part of the URL.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

SCHEMES = ("postgresql", "postgres")
FORM = "postgresql://user:password@host:5432/name"
ENCODE = (
    "percent-encode the password and the other parts: @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25,"
    " [ is %5B, ] is %5D, a space is %20"
)


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """The decoded parts. `host` and `port` are comma separated lists; a part that is not given is empty.

    `parameters` are those after the question mark, except the ones that are a part themselves.
    """

    user: str = ""
    password: str = ""
    host: str = ""
    port: str = ""
    database: str = ""
    parameters: Mapping[str, str] | None = None

    def get(self, name: str) -> str:
        """Return the value of a parameter, or an empty text."""
        return (self.parameters or {}).get(name, "")

    def having(self, **parameters: str) -> "Url":
        """Return the URL with more parameters; they replace those of the same name."""
        return replace(self, parameters={**(self.parameters or {}), **parameters})

    def without(self, *names: str) -> "Url":
        kept = {name: value for name, value in (self.parameters or {}).items() if name not in names}
        return replace(self, parameters=kept)

    def text(self) -> str:
        """Return the URL as one text that libpq, asyncpg and `urlsplit` read alike."""
        query = dict(self.parameters or {})
        is_plain = "," not in self.host and "/" not in self.host
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        place = (host + (f":{self.port}" if self.port else "")) if is_plain and self.host else ""
        if not place:
            given = {"host": self.host, "port": self.port}
            query = {**{name: value for name, value in given.items() if value}, **query}
        login = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='/,')}" for name, value in query.items())
        at = "@" if login else ""
        return f"postgresql://{login}{at}{place}/{quote(self.database, safe='')}" + (f"?{pairs}" if pairs else "")


PARTS = {"user": "user", "password": "password", "host": "host", "port": "port", "dbname": "database"}
"""The parameters that may also stand before the question mark, and the part each of them is."""


def parse(text: str) -> Url:
    """Take a URL apart. Raises ValueError with what to write instead; the message repeats nothing of the URL."""
    scheme, separator, rest = text.partition("://")
    name = scheme.lower()
    if name == "file" or text.startswith("file:"):
        raise ValueError(
            "is a file, but the database is PostgreSQL: leave it unset for the embedded server"
            f" (its folder is STATS_DATA_DIR), or write {FORM}"
        )
    if re.match(r"jdbc:|postgres(ql)?\+\w+", name):
        raise ValueError(f"names a driver of another program: write {FORM}")
    if re.search(r"""^[^/?]*[\s"'=]postgres(ql)?://""", text, re.IGNORECASE):
        raise ValueError(f"must be the URL alone, without quotes or words around it: {FORM}")
    if name not in SCHEMES or not separator:
        raise ValueError(f"must look like {FORM}")
    authority, path, query = _split(rest)
    login, _, places = authority.rpartition("@")
    user, _, password = login.partition(":")
    host, port = _places(places)
    parts = {"user": _decoded(user), "password": _decoded(password), "host": host, "port": port}
    parameters = _parameters(query)
    parts["database"] = _decoded(path.removeprefix("/"))
    if "database" in parameters:  # asyncpg's word
        parameters.setdefault("dbname", parameters.pop("database"))
    for parameter, part in PARTS.items():
        if given := parameters.pop(parameter, ""):
            parts[part] = given
    _check_ports(parts["port"])
    return Url(**parts, parameters=parameters)


def _split(rest: str) -> tuple[str, str, str]:
    """Return authority, path and query of what follows `://`. Raises ValueError if a part was not percent-encoded."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    login = authority.rpartition("@")[0]
    stray = "#" in rest or "@" in login or "@" in path or re.search(r"[\[\]]", login + path)
    if stray or re.search(r"[\s\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})|%00", rest):
        raise ValueError(ENCODE)
    return authority, path, query


def _places(places: str) -> tuple[str, str]:
    """Return the hosts and the ports of `host:port,host:port`, comma separated."""
    if not places:
        return "", ""
    hosts, ports = [], []
    for place in places.split(","):
        found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]*))(?::([^:]*))?", place)
        if not found:
            if place.count(":") > 1:
                raise ValueError(f"an IPv6 address needs brackets, such as [::1]:5432; or {ENCODE}")
            raise ValueError(ENCODE)
        if found[1]:
            try:
                ipaddress.ip_address(_decoded(found[1]))
            except ValueError:
                raise ValueError("what stands in brackets must be an IPv6 address, such as [::1]") from None
        hosts.append(_decoded(found[1] or found[2] or ""))
        ports.append(found[3] or "")
    if len({*ports}) == 1:
        ports = ports[:1]
    return ",".join(hosts), ",".join(port or "5432" for port in ports) if any(ports) else ""


def _check_ports(ports: str) -> None:
    for port in ports.split(",") if ports else ():
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise ValueError(f"the port must be a number from 1 to 65535; if it is a part of the password, {ENCODE}")


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters by name; of those given twice the last one counts, as for libpq."""
    parameters = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[\w.-]+", _decoded(name), re.ASCII):
            raise ValueError(f"each parameter after the question mark must be name=value; if they are none, {ENCODE}")
        parameters[_decoded(name)] = _decoded(value)
    return parameters


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"must be percent-encoded UTF-8: {ENCODE}") from None
