"""Other forms of a database URL: in a schema, with libpq's variables, and as PostgreSQL's own programs read it."""

from collections.abc import Mapping

from statsd.libpq import options
from statsd.libpq.parameters import ENVIRONMENT, LIBPQ, SCHEMAS, SSL_MODES
from statsd.libpq.plan import plan, settings_of, ssl_mode, value_faults, with_service
from statsd.libpq.url import Url, parse


def with_environment(text: str, variables: Mapping[str, str | None]) -> str:
    """Return the URL with the parameters that libpq's variables stand for, where neither it nor its service has them.

    Raises ValueError, with the name of the variable, for a value that cannot be honoured.
    """
    url = parse(text)
    if service := variables.get("PGSERVICE"):
        url = url if url.get("service") else url.having(service=service)
    if file := variables.get("PGSERVICEFILE"):
        url = url if url.get("servicefile") else url.having(servicefile=file)
    given = with_service(url).parameters or {}
    faults = []
    for name, parameter in ENVIRONMENT.items():
        value = variables.get(name)
        if not value or parameter in given:
            continue
        faults += [f"{name}: {fault}" for fault in value_faults(Url().having(**{parameter: value}))]
        url = url.having(**{parameter: value})
    if faults:
        raise ValueError("; ".join(faults))
    return text if url == parse(text) else url.text()


def in_schema(text: str, schema: str) -> str:
    """Return the URL with a search path of this schema alone, whatever search path it has."""
    url = parse(text)
    settings, rest = options.split(url.get("options"))
    settings["search_path"] = options.identifier(schema)
    return url.without(*SCHEMAS, "options").having(options=options.join(settings, rest)).text()


def schema(text: str) -> str | None:
    """Return the schema of a URL whose search path has exactly one, or None."""
    names = options.names(plan(text).settings.get("search_path", ""))
    return names[0] if len(names) == 1 else None


def needs_tls(text: str) -> bool:
    """Whether the URL refuses a connection without TLS."""
    return ssl_mode(with_service(parse(text))) in SSL_MODES[SSL_MODES.index("require") :]


def for_programs(text: str) -> str:
    """Return the URL as psql and pg_dump understand it: without the parameters of other programs."""
    url = parse(text)
    if {*(url.parameters or {})} <= LIBPQ:
        return text
    settings = settings_of(url)
    rest = options.split(settings.pop("options", ""))[1]
    kept = {name: value for name, value in (url.parameters or {}).items() if name in LIBPQ - {"options"}}
    if mode := ssl_mode(url):
        kept["sslmode"] = mode
    if text := options.join(settings, rest):
        kept["options"] = text
    return url.without(*(url.parameters or {})).having(**kept).text()
