"""What each parameter of a database URL does here.

asyncpg keeps the most of libpq's parameters. One that it would ignore, or send to the server as a setting, is honoured
here, or left out with a line in the log. Where leaving it out would make the connection less safe than was asked for,
the URL is refused. Parameters of poolers and of other programs' libraries are left out; an unknown one is refused.
"""

from collections.abc import Mapping
from typing import NamedTuple


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": TLS_VERSIONS,
    "ssl_max_protocol_version": TLS_VERSIONS,
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "gsslib": ("gssapi",),
    "sslcertmode": ("disable", "allow", "require"),
    "load_balance_hosts": ("disable", "random"),
}
"""The values that a parameter may have."""

HONOURED = _words("""
    hostaddr passfile connect_timeout options service servicefile requiressl ssl
    sslmode sslnegotiation sslcert sslkey sslpassword sslrootcert sslcrl
    ssl_min_protocol_version ssl_max_protocol_version target_session_attrs krbsrvname gsslib
""")
FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "servicefile")
"""Parameters that name a file, which must be there."""
SCHEMAS = ("search_path", "schema", "currentSchema")
"""How the schema is named: by PostgreSQL, Prisma and JDBC."""
SETTINGS = _words("""
    statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout
    timezone datestyle intervalstyle bytea_output extra_float_digits standard_conforming_strings quote_all_identifiers
    synchronous_commit jit work_mem maintenance_work_mem temp_buffers geqo role row_security default_tablespace
    default_transaction_isolation default_transaction_read_only default_transaction_deferrable client_min_messages
    log_statement log_min_duration_statement tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count
    client_connection_check_interval check_function_bodies constraint_exclusion plan_cache_mode random_page_cost
    effective_cache_size hash_mem_multiplier cursor_tuple_fraction max_parallel_workers_per_gather temp_tablespaces
    enable_bitmapscan enable_hashjoin enable_indexscan enable_indexonlyscan enable_material enable_memoize
    enable_mergejoin enable_nestloop enable_seqscan enable_sort lc_messages lc_monetary lc_numeric lc_time
    default_toast_compression default_table_access_method session_replication_role xmloption escape_string_warning
""")
"""Settings of PostgreSQL that may be parameters, as for asyncpg; so may every one with a dot in its name."""
FIXED = ("application_name", "timezone", "synchronous_commit", "statement_timeout", "jit")
"""Settings of PostgreSQL that the program makes itself; another value of the URL has no effect."""


class Rule(NamedTuple):
    """Values that ask for no more than happens anyway, and why another one cannot be honoured."""

    harmless: tuple[str, ...]
    reason: str


REFUSED: Mapping[str, Rule] = {
    "require_auth": Rule((), "the program cannot check how the server asks for the password"),
    "gssencmode": Rule(("disable", "prefer"), "the program cannot encrypt with GSSAPI; use sslmode=verify-full"),
    "requirepeer": Rule((), "the program cannot check who runs the server behind a socket"),
    "sslcertmode": Rule(("allow", "disable"), "the program cannot check that the server asks for a certificate"),
    "sslcrldir": Rule((), "the program reads revoked certificates from one file; use sslcrl"),
    "min_protocol_version": Rule(("3.0",), "the program speaks version 3.0 of the protocol"),
    "scram_client_key": Rule((), "the program logs in with the password, or with a certificate"),
    "scram_server_key": Rule((), "the program logs in with the password, or with a certificate"),
    "replication": Rule(NO, "the program needs an ordinary connection"),
    "sslaccept": Rule(
        ("accept_invalid_certs",), "write sslmode=verify-full, and as sslrootcert the CA's file or system"
    ),
}
"""Parameters that are refused, because the connection would be less safe, or another one, without them."""


def _each(names: str, reason: str) -> dict[str, Rule]:
    return dict.fromkeys(_words(names), Rule((), reason))


TIMEOUTS = "the program finds dead connections by timeouts of its own"
LEFT_OUT: Mapping[str, Rule] = {
    "channel_binding": Rule(
        ("disable", "prefer"),
        "the program cannot bind the login to the TLS connection; add sslmode=verify-full&sslrootcert=system (or your"
        " CA's file), which keeps out who stands in between",
    ),
    "client_encoding": Rule(("auto", "utf8", "utf-8", "unicode"), "the program always speaks UTF-8"),
    "sslcompression": Rule(NO, "TLS is never compressed here"),
    "sslcertmode": Rule(("allow",), "a certificate in ~/.postgresql is sent if the server asks for one"),
    "sslsni": Rule(YES, "the host's name is always sent with TLS"),
    "max_protocol_version": Rule(("3.0", "3.2", "latest"), "the program speaks version 3.0 of the protocol"),
    "gssdelegation": Rule(NO, "the program does not delegate credentials"),
    "load_balance_hosts": Rule(("disable",), "hosts are tried in their order"),
    **_each("application_name fallback_application_name", 'the program calls itself "statsd-live"'),
    **_each("keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout", TIMEOUTS),
    **_each("sslkeylogfile", "the program writes no keys; set SSLKEYLOGFILE instead"),
    **_each("oauth_issuer oauth_client_id oauth_client_secret oauth_scope", "the program has no OAuth"),
    # Those of poolers and of other programs' libraries.
    **_each("socket_timeout socketTimeout command_timeout timeout tcpKeepAlive loginTimeout connectTimeout", TIMEOUTS),
    **_each(
        """
        connection_limit pool_timeout pool pool_size pool_mode max_overflow pool_recycle pool_pre_ping
        pool_max_conns pool_min_conns pool_min_idle_conns pool_max_conn_lifetime pool_max_conn_lifetime_jitter
        pool_max_conn_idle_time pool_health_check_period max_connections min_connections max min idle_timeout
        maximum_pool_size minimum_pool_size conn_max_age conn_health_checks reaping_frequency
        """,
        "the program sizes its own pool",
    ),
    **_each(
        """
        pgbouncer prepareThreshold prepare prepared_statements preparedStatementCacheQueries preferQueryMode
        preparedStatementCacheSizeMiB statement_cache_size prepared_statement_cache_size statement-cache-capacity
        prepared_statement_name_func statement_cache_capacity description_cache_capacity statement_cache_mode
        default_query_exec_mode binary_parameters disable_prepared_binary_result
        """,
        "the program notices a pooler by itself, and prepares no statements there",
    ),
    **_each(
        """
        serverVersion charset encoding unicode adapter driver supa sslidentity uselibpqcompat async_fallback
        advisory_locks variables ApplicationName stringtype reWriteBatchedInserts defaultRowFetchSize
        targetServerType loadBalanceHosts sslfactory
        """,
        "it belongs to another program's library",
    ),
}
"""Parameters that are left out; the log says so, unless the value is harmless."""

ENVIRONMENT: Mapping[str, str] = {
    "PGHOSTADDR": "hostaddr",
    "PGPASSFILE": "passfile",
    "PGREQUIREAUTH": "require_auth",
    "PGCHANNELBINDING": "channel_binding",
    "PGSERVICE": "service",
    "PGSERVICEFILE": "servicefile",
    "PGOPTIONS": "options",
    "PGAPPNAME": "application_name",
    "PGSSLMODE": "sslmode",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGREQUIRESSL": "requiressl",
    "PGSSLCOMPRESSION": "sslcompression",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCERTMODE": "sslcertmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCRL": "sslcrl",
    "PGSSLCRLDIR": "sslcrldir",
    "PGSSLSNI": "sslsni",
    "PGREQUIREPEER": "requirepeer",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
    "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGMINPROTOCOLVERSION": "min_protocol_version",
    "PGMAXPROTOCOLVERSION": "max_protocol_version",
    "PGGSSENCMODE": "gssencmode",
    "PGKRBSRVNAME": "krbsrvname",
    "PGGSSLIB": "gsslib",
    "PGGSSDELEGATION": "gssdelegation",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGCLIENTENCODING": "client_encoding",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGLOADBALANCEHOSTS": "load_balance_hosts",
}
"""libpq's variables and the parameters they stand for. Host, port, user, password and database are read elsewhere."""

KNOWN = {*HONOURED, *SCHEMAS, *SETTINGS, *REFUSED, *LEFT_OUT, "host", "port", "user", "password", "dbname"}
LIBPQ = {*HONOURED, *ENVIRONMENT.values()} - {"requiressl", "ssl"} | {
    *_words("keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout sslkeylogfile"),
    *_words("host port user password dbname replication fallback_application_name scram_client_key scram_server_key"),
    *_words("oauth_issuer oauth_client_id oauth_client_secret oauth_scope"),
}
"""The parameters of libpq 18: those that psql and pg_dump understand."""
