"""URLs of databases: what libpq and others write into them, and what is said where they cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from statsd import settings
from statsd.database import pool
from statsd.errors import DatabaseError, SettingsError
from statsd.libpq import forms, options, parameters
from statsd.libpq.plan import plan
from statsd.libpq.url import parse

LIBPQ_18 = """
    host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout
    client_encoding options application_name fallback_application_name keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout replication gssencmode sslmode requiressl
    sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert sslcrl
    sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version
    max_protocol_version krbsrvname gsslib gssdelegation scram_client_key scram_server_key service servicefile
    target_session_attrs load_balance_hosts oauth_issuer oauth_client_id oauth_client_secret oauth_scope
"""


def load(**environ: str) -> settings.Settings:
    return settings.load(None, environ, Path("no-such-file"))


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    assert caught.value.exit_code == 3
    return str(caught.value)


@pytest.mark.parametrize("name", LIBPQ_18.split())
def test_every_parameter_of_libpq_is_known(name: str) -> None:
    assert name in parameters.KNOWN
    assert name in parameters.LIBPQ | {"requiressl"}


@pytest.mark.parametrize("name", sorted(parameters.LEFT_OUT))
def test_what_is_left_out_is_named_with_its_reason_and_never_sent_to_the_server(name: str) -> None:
    value = {"channel_binding": "require", "load_balance_hosts": "random", "sslcertmode": "disable"}.get(name, "7")
    loaded = load(DATABASE_URL=f"postgresql://u@h/d?{name}={value}")
    assert loaded.database_url
    (note,) = settings.notes(loaded)
    assert note.startswith(f"DATABASE_URL: {name} is left out: ")
    planned = plan(loaded.database_url)
    assert name not in planned.settings
    assert name not in str(planned.arguments)


def test_string_that_neon_gives_is_taken_and_the_missing_protection_is_said() -> None:
    loaded = load(DATABASE_URL="postgresql://u:p@ep-x.neon.tech/d?sslmode=require&channel_binding=require")
    assert "sslmode=verify-full&sslrootcert=system" in settings.notes(loaded)[0]
    verified = "postgresql://u:p@h/d?sslrootcert=system&channel_binding=require"
    assert "verify-full is checked" in settings.notes(load(DATABASE_URL=verified))[0]
    assert "sslmode=require" in plan("postgresql://h/d?channel_binding=require").arguments["dsn"]  # never without TLS
    assert "sslmode=disable has none" in refusal(
        DATABASE_URL="postgresql://h/d?channel_binding=require&sslmode=disable"
    )


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("require_auth=scram-sha-256", "require_auth cannot be honoured"),
        ("gssencmode=require", "gssencmode cannot be honoured"),
        ("requirepeer=postgres", "requirepeer cannot be honoured"),
        ("sslcertmode=require", "sslcertmode cannot be honoured"),
        ("sslcrldir=/tmp", "sslcrldir cannot be honoured"),
        ("min_protocol_version=3.2", "min_protocol_version cannot be honoured"),
        ("scram_client_key=c2VjcmV0", "scram_client_key cannot be honoured"),
        ("scram_server_key=c2VjcmV0", "scram_server_key cannot be honoured"),
        ("replication=database", "replication cannot be honoured"),
        ("sslaccept=strict", "sslaccept cannot be honoured: .*sslmode=verify-full"),
        ("sslmode=no-verify", "sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslrootcert=/nowhere/ca.pem", "sslrootcert names a file that is not there"),
        ("sslrootcert=system&sslmode=require", "sslrootcert=system needs sslmode=verify-full"),
        ("sslnegotiation=direct", "sslnegotiation=direct needs sslmode=require"),
        ("target_session_attrs=master", "target_session_attrs must be one of any, read-write"),
        ("ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version must be one of TLSv1"),
        ("connect_timeout=soon", "connect_timeout must be a whole number of seconds"),
        ("hostaddr=10.0.0.1&sslrootcert=system", "hostaddr cannot be honoured with sslmode=verify-full"),
        ("service=nowhere&servicefile=/dev/null", "servicefile names a file that is not there"),
        ("port=1,2", "port must be one number, or as many as there are hosts"),
        ("conect_timeout=3", 'unknown parameter "conect_timeout": did you mean connect_timeout?'),
        ("SSLMODE=require", 'unknown parameter "SSLMODE": did you mean sslmode?'),
        ("colour=red", 'unknown parameter "colour": settings of PostgreSQL go into options=-c%20name%3Dvalue'),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(query: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"^DATABASE_URL: .*{says.replace('?', '[?]')}"):
        load(DATABASE_URL=f"postgresql://u:p@h/d?{query}")
    assert "c2VjcmV0" not in refusal(DATABASE_URL=f"postgresql://u:p@h/d?{query}")


def test_all_wrong_parameters_are_said_at_once() -> None:
    said = refusal(DATABASE_URL="postgresql://h/d?colour=red&sslmode=x&require_auth=none")
    assert [word in said for word in ("colour", "sslmode", "require_auth")] == [True] * 3


HARMLESS = """
    channel_binding=prefer gssencmode=prefer sslcompression=0 sslsni=1 sslcertmode=allow client_encoding=utf8
    load_balance_hosts=disable gssdelegation=0 max_protocol_version=latest sslnegotiation=postgres replication=false
    target_session_attrs=read-write requiressl=0 ssl=false min_protocol_version=3.0 sslmode= connect_timeout= sslcert=
"""


@pytest.mark.parametrize("harmless", HARMLESS.split())
def test_what_happens_anyway_is_no_line_in_the_log(harmless: str) -> None:
    assert settings.notes(load(DATABASE_URL=f"postgresql://u@h/d?{harmless}")) == []


def test_tls_is_never_weaker_than_asked_for(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    for query in ("sslmode=require", "ssl=true", "requiressl=1", "ssl=require"):
        assert plan(f"postgresql://h/d?{query}").arguments["dsn"] == "postgresql://?sslmode=require"
    given: Any = plan("postgresql://h/d?sslrootcert=system&sslnegotiation=direct").arguments
    assert given["ssl"].check_hostname
    assert given["ssl"].verify_mode == ssl.CERT_REQUIRED
    assert given["ssl"].get_ca_certs() or ssl.get_default_verify_paths().capath
    assert given["direct_tls"] is True
    given = plan(f"postgresql://h/d?sslmode=verify-ca&sslrootcert={ca}&hostaddr=192.0.2.7").arguments
    assert given["dsn"] == f"postgresql://?sslmode=verify-ca&sslrootcert={str(ca).replace('/', '%2F')}"
    assert given["host"] == ["192.0.2.7"]
    assert plan("postgresql:///d?host=/run/pg&sslmode=require").arguments["ssl"] is False  # as libpq: a socket has none


def test_timeout_of_a_connection_has_bounds() -> None:
    seconds = {
        text: plan(f"postgresql://h/d?connect_timeout={text}").connect_seconds for text in ("3", "0", "-1", "900")
    }
    assert seconds == {"3": 3, "0": 30, "-1": 30, "900": 30}
    assert plan("postgresql://h/d").connect_seconds is None


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("schema=app", {"search_path": '"app"'}),
        ("search_path=a,b", {"search_path": "a,b"}),
        ("currentSchema=a", {"search_path": "a"}),
        ("options=-csearch_path%3Dapp", {"search_path": "app"}),
        ("options=-c%20jit%3Doff%20--lock-timeout%3D3s", {"jit": "off", "lock_timeout": "3s"}),
        ("options=endpoint%3Dep-x%20-c%20geqo%3Doff", {"geqo": "off", "options": "endpoint=ep-x"}),
        ("lock_timeout=3s&app.tenant=7", {"lock_timeout": "3s", "app.tenant": "7"}),
    ],
)
def test_settings_of_the_session_are_found_in_every_spelling(query: str, wanted: dict[str, str]) -> None:
    assert plan(f"postgresql://h/d?{query}").settings == wanted


def test_settings_that_the_program_makes_itself_are_said() -> None:
    assert {*parameters.FIXED} == {name for name in pool.SESSION if "." not in name}
    (note,) = settings.notes(load(DATABASE_URL="postgresql://h/d?statement_timeout=0"))
    assert note == "DATABASE_URL: statement_timeout is left out: the program sets it itself"


# ---- what is not percent-encoded


@pytest.mark.parametrize(
    "password",
    ["se@cret", "se/cret", "se#cret", "se?cret", "se%cret", "se[cret", "se]cret", "7/se@cret", "7?se=cret", "se cret",
     "se%zzcret", "se%ffcret", "s@:/?#[%ecret", "7#secret", "@secret", "se\tcret"],
)  # fmt: skip
def test_password_that_is_not_encoded_is_answered_with_how_to_and_never_shown(password: str) -> None:
    said = refusal(DATABASE_URL=f"postgresql://app:{password}@db.example:5432/stats")
    assert "percent-encode the password" in said
    assert "cret" not in said


@pytest.mark.parametrize("password", ["p:w", "é&=+;$!*'(),~", "p%40ss%3Aw%2Frd%25%3F%23%26", "100%25"])
def test_password_that_is_unambiguous_is_taken(password: str) -> None:
    url = parse(f"postgresql://app:{password}@db.example:5432/stats")
    assert (url.user, url.host, url.port, url.database) == ("app", "db.example", "5432", "stats")
    assert parse(url.text()) == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u@h:port/d", "the port must be a number from 1 to 65535"),
        ("postgresql://u@h:0/d", "the port must be a number"),
        ("postgresql://u@h:65536/d", "the port must be a number"),
        ("postgresql://u@h/d?port=x", "the port must be a number"),
        ("postgresql://u@::1/d", "an IPv6 address needs brackets"),
        ("postgresql://u@2001:db8::1:5432/d", "an IPv6 address needs brackets"),
        ("postgresql://u@[::1:5432/d", "an IPv6 address needs brackets"),
        ("postgresql://u@[host]/d", "must be an IPv6 address"),
        ("jdbc:postgresql://h/d?user=u", "names a driver of another program: write postgresql://user:password@host"),
        ("postgresql+asyncpg://u@h/d", "names a driver of another program: write postgresql://"),
        ("postgresql+psycopg://u@h/d", "names a driver of another program: write postgresql://"),
        ("postgres+psycopg2://u@h/d", "names a driver of another program: write postgresql://"),
        ("mysql://u@h/d", "must look like postgresql://user:password@host:5432/name"),
        ("'postgresql://u@h/d'", "must be the URL alone, without quotes"),
        ('"postgres://u@h/d"', "must be the URL alone, without quotes"),
        ("psql 'postgresql://u@h/d'", "must be the URL alone, without quotes or words around it"),
        ("DATABASE_URL=postgresql://u@h/d", "must be the URL alone, without quotes or words around it"),
        ("host=h dbname=d", "must look like postgresql://user:password@host:5432/name"),
        ("postgresql:h", "must look like postgresql://user:password@host:5432/name"),
    ],
)
def test_other_urls_are_answered_with_what_to_write(url: str, says: str) -> None:
    assert says in refusal(DATABASE_URL=url)
    assert refusal(STATS_LISTEN_URL=url).startswith("STATS_LISTEN_URL: ")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("postgres://u@h1:1,h2:2/d", ["h1", "h2"], [1, 2]),
        ("postgres://u@h1:7,h2:7/d", ["h1", "h2"], 7),
        ("postgres://u@h1,h2/d?port=7", ["h1", "h2"], 7),
        ("POSTGRESQL://u@[2001:db8::7]:7/d", ["2001:db8::7"], 7),
        ("postgresql:///d?host=/run/pg&port=7", ["/run/pg"], 7),
        ("postgresql://%2Frun%2Fpg/d", ["/run/pg"], None),
        ("postgresql://u@h/d\n", ["h"], None),
        ("postgresql:///d", None, None),
    ],
)
def test_hosts_are_found_in_every_spelling(text: str, host: list[str] | None, port: object) -> None:
    url = load(DATABASE_URL=text).database_url
    assert url
    for spelling in (url, parse(url).text()):
        assert (plan(spelling).arguments["host"], plan(spelling).arguments["port"]) == (host, port)
        assert plan(spelling).arguments["database"] == "d"


# ---- other forms


def test_programs_of_postgresql_get_what_they_understand() -> None:
    unchanged = "postgresql://u:p@h:1/d?channel_binding=require&sslmode=require"
    assert forms.for_programs(unchanged) == unchanged
    mixed = "postgresql://u:p@h:1/d?pgbouncer=true&schema=App&ssl=true&connect_timeout=3&lock_timeout=3s"
    assert parse(forms.for_programs(mixed)) == parse(
        "postgresql://u:p@h:1/d?connect_timeout=3&sslmode=require&options=--search_path%3D%22App%22%20--lock_timeout%3D3s"
    )


@pytest.mark.parametrize("name", ["statsd", "weird-Name", 'a"b', "a b", "back\\slash", "schön", "x,y", "Statsd"])
def test_schema_replaces_every_other_search_path(name: str) -> None:
    given = "postgresql://u@h/d?options=endpoint%3Dx%20-c%20search_path%3Dold&search_path=older&schema=oldest"
    url = load(DATABASE_URL=given, STATS_LISTEN_URL=given, STATS_SCHEMA=name).database_url
    assert url
    assert options.names(plan(url).settings["search_path"]) == [name]
    assert forms.schema(url) == name
    assert plan(url).settings["options"] == "endpoint=x"
    assert forms.for_programs(url) == url == load(DATABASE_URL=url, STATS_SCHEMA=name).database_url


def test_schema_may_be_written_as_in_sql() -> None:
    assert load(STATS_SCHEMA='"weird-Name"').schema == "weird-Name"
    assert load().schema is None
    for wrong in ("x" * 64, "pg_stats", "information_schema", "$user", '"$user"', "a\nb"):
        assert refusal(STATS_SCHEMA=wrong).startswith("STATS_SCHEMA: must be the name of a schema")


def test_variables_of_libpq_count_where_the_url_says_nothing(tmp_path: Path) -> None:
    url = load(DATABASE_URL="postgresql://u@h/d", PGSSLMODE="require", PGCONNECT_TIMEOUT="7", PGOPTIONS="-c geqo=off")
    assert url.database_url
    planned = plan(url.database_url)
    assert (planned.connect_seconds, planned.settings) == (7, {"geqo": "off"})
    assert planned.arguments["dsn"] == "postgresql://?sslmode=require"
    assert load(DATABASE_URL="postgresql://h/d?sslmode=disable", PGSSLMODE="require").database_url == (
        "postgresql://h/d?sslmode=disable"
    )
    assert (
        load(PGSSLMODE="nonsense", PGREQUIREAUTH="scram-sha-256").database_url is None
    )  # of no use to the embedded one
    said = refusal(PGHOST="h", PGSSLMODE="nonsense", PGREQUIREAUTH="scram-sha-256")
    assert "PGSSLMODE: sslmode must be one of" in said
    assert "PGREQUIREAUTH: require_auth cannot be honoured" in said
    assert "channel_binding is left out" in settings.notes(load(PGHOST="h", PGCHANNELBINDING="require"))[0]
    assert "the port must be a number" in refusal(PGHOST="h", PGPORT="x")
    system: Any = plan(load(PGHOST="h", PGSSLROOTCERT="system").database_url or "").arguments["ssl"]
    assert system.check_hostname


def test_service_is_read_with_every_parameter_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "services"
    file.write_text(
        "# ours\n[other]\nhost=no\n[stats]\nhost=db.example\nuser=ada\npassword=p@ss\nchannel_binding=require\n"
    )
    loaded = load(PGSERVICE="stats", PGSERVICEFILE=str(file), PGSSLMODE="require")
    assert loaded.database_url
    given = plan(loaded.database_url).arguments
    assert (given["host"], given["user"], given["password"]) == (["db.example"], "ada", "p@ss")
    assert "channel_binding is left out" in settings.notes(loaded)[0]
    assert plan(f"postgresql://eva@/d?service=stats&servicefile={file}").arguments["user"] == "eva"
    said = refusal(DATABASE_URL=f"postgresql:///d?service=none&servicefile={file}")
    assert 'there is no service "none"' in said


async def test_database_is_reached_with_all_that_others_write(server_dsn: str) -> None:
    habits = "connect_timeout=5&channel_binding=prefer&pgbouncer=true&connection_limit=1&schema=public&serverVersion=16"
    connection = await pool.connect(f"{server_dsn}&{habits}&options=-c%20geqo%3Doff%20-c%20jit%3Don")
    query = "select concat_ws(' ', current_setting('geqo'), current_setting('search_path'), current_setting('jit'))"
    assert await connection.fetchval(query) == 'off "public" off'
    await connection.close()
    with pytest.raises(DatabaseError, match='unknown parameter "colour"'):
        await pool.connect(f"{server_dsn}&colour=red")
