"""Settings: who wins, what is refused, and that everything is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from folders import ROOT

from statsd import settings
from statsd.errors import SettingsError
from statsd.streams.webhooks import presets

NOWHERE = Path("no-such-file")


def load(flags: dict[str, str | None] | None = None, /, **environ: str) -> settings.Settings:
    return settings.load(flags, environ, NOWHERE)


def test_flag_wins_over_environment_over_dotenv_over_default(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1003\nHOST=10.0.0.3\nLOG_LEVEL=error\n")
    told = settings.load({"port": "1001"}, {"PORT": "1002", "HOST": "10.0.0.2"}, dotenv)
    assert (told.port, told.host, told.log_level, told.log_format) == (1001, "10.0.0.2", "error", "text")


def test_environment_wins_over_dotenv_even_under_a_later_name(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1\n")
    assert settings.load(None, {"API_PORT": "2"}, dotenv).port == 2


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({}, 8080),
        ({"API_PORT": "3"}, 3),
        ({"API_PORT": "3", "SERVER_PORT": "2"}, 2),
        ({"PORT": "1", "API_PORT": "3"}, 1),
    ],
)
def test_first_name_wins(environ: dict[str, str], port: int) -> None:
    assert load(**environ).port == port


def test_empty_variable_is_unset() -> None:
    assert load(PORT="", DATABASE_URL="").port == 8080


def test_all_faults_are_reported_at_once_under_the_names_they_were_given_by() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            {"host": "a b"},
            SERVER_PORT="70000",
            LOG_LEVEL="loud",
            STATS_AGGREGATE_SECONDS="nan",
            CORS_ORIGINS="example.org",
        )
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "--host", "SERVER_PORT", "STATS_AGGREGATE_SECONDS", "CORS_ORIGINS", "LOG_LEVEL",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["1_0", " 5", "+5", "-1", "5.0", "1e3", "٣", "36501", "9" * 16])
def test_whole_number_is_digits_within_its_bounds(text: str) -> None:
    with pytest.raises(SettingsError, match="STATS_RETENTION_DAYS: must be a whole number of days from 0 to 36500"):
        load(STATS_RETENTION_DAYS=text)
    assert load(STATS_RETENTION_DAYS="36500").retention_days == 36_500


@pytest.mark.parametrize("text", ["512", "15MB", "512mb", "512 MB", "1025GB", "-1GB", "0.5GB", "2TB", "1MiB"])
def test_size_is_a_number_with_a_unit_of_postgresql(text: str) -> None:
    with pytest.raises(
        SettingsError, match="STATS_PG_SHARED_BUFFERS: must be a size from 16MB to 1024GB, such as 512MB"
    ):
        load(STATS_PG_SHARED_BUFFERS=text)
    assert load(STATS_PG_SHARED_BUFFERS="16384kB").pg_shared_buffers == "16384kB"
    assert load(STATS_PG_MAX_WAL_SIZE="1TB").pg_max_wal_size == "1TB"


def test_file_url_is_answered_with_what_to_write() -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL: is a file.*STATS_DATA_DIR.*postgresql://"):
        load(DATABASE_URL="file:./dev.db")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (
            {"PGHOST": "db", "PGUSER": "u", "PGPASSWORD": "p@/:", "PGDATABASE": "n"},
            "postgresql://u:p%40%2F%3A@db:5432/n",
        ),
        ({"POSTGRES_HOST": "db", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p"}, "postgresql://u:p@db:5432/u"),
        ({"POSTGRES_DB": "n"}, "postgresql://postgres@localhost:5432/n"),
        ({"PGHOST": "/run/pg", "PGDATABASE": "n"}, "postgresql://postgres@/n?host=/run/pg&port=5432"),
        ({"PGHOST": "a", "POSTGRES_HOST": "b"}, "postgresql://postgres@a:5432/postgres"),
        ({"DATABASE_URL": "postgres://x/y", "PGHOST": "a"}, "postgres://x/y"),
        ({"PGUSER": "u", "POSTGRES_PASSWORD": "p"}, None),
    ],
)
def test_database_is_found_under_every_documented_name(environ: dict[str, str], url: str | None) -> None:
    assert load(**environ).database_url == url


def test_origins_are_split_and_normalised() -> None:
    assert load(CORS_ORIGINS=" https://A.example/ , http://b:8080 ").cors_origins == (
        "https://a.example",
        "http://b:8080",
    )


def test_password_is_not_in_the_representation() -> None:
    assert "geheim" not in repr(load(DATABASE_URL="postgresql://u:geheim@h/d"))


@pytest.mark.parametrize("name", ["JWT_SECRET", "JWT_SECRET_PREVIOUS"])
def test_secret_that_is_short_is_refused_and_none_is_shown(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: "geheim-und-doch-zu-kurz"})
    assert f"{name}: must have at least 32 bytes" in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(load(**{name: "geheim-0123456789-abcdefghijklmnop"}))


@pytest.mark.parametrize(
    "given", ["x" * 40, "your_secret_key_here_0123456789_abcdef", "changeme-0123456789-abcdefghijk"]
)
def test_secret_that_everybody_knows_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET: must not be an example or a pattern"):
        load(JWT_SECRET=given.ljust(32, "-"))


def test_frontend_is_an_origin_whatever_its_path_is() -> None:
    assert load(FRONTEND_URL="https://App.example:8443/usage/").frontend_url == "https://app.example:8443"
    for wrong in ("app.example", "ftp://app.example", "https://", "https://u:p@app.example"):
        with pytest.raises(SettingsError, match="FRONTEND_URL"):
            load(FRONTEND_URL=wrong)


def test_networks_are_addresses_or_ranges() -> None:
    assert [str(one) for one in load(TRUSTED_PROXIES="10.0.0.0/8, ::1").trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(SettingsError, match="STATS_THROTTLE_EXEMPT"):
        load(STATS_THROTTLE_EXEMPT="10.0.0.1/8")


def test_unknown_name_is_answered_with_the_nearest() -> None:
    assert settings.unknown({"STATS_DATADIR": "x", "STATS_DATA_DIR": "y", "OTHER": "z"}, NOWHERE) == [
        "STATS_DATADIR is not a setting; did you mean STATS_DATA_DIR?"
    ]


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    """The page of settings, `.env.example` and compose name exactly the settings that exist; README those used most."""
    known = {name for field in settings.fields().values() for name in field.metadata["names"]}
    known |= {presets.setting(sender) for sender in presets.PRESETS}
    example = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    page = set(re.findall(r"<code>([A-Z][A-Z_]+)</code>", (ROOT / "static/docs/settings.html").read_text()))
    table = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    parts = {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"}
    parts |= {f"POSTGRES_{part}" for part in ("HOST", "PORT", "USER", "PASSWORD", "DB")}
    assert example - parts == known
    assert page - parts == known
    assert set(re.findall(r"`([A-Z][A-Z_]+)`", table)) - parts <= known
