"""TLS to a PostgreSQL with a certificate: what the URL asks for is checked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from outside import NOBODY, Outside

from statsd.database.pool import connect
from statsd.errors import DatabaseError


def make_certificates(folder: Path) -> Path:
    """Make a CA, and with it a certificate for `localhost` as `server.pem` and `server.key`; return the CA's file."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, cwd=folder, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=a CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    openssl(
        *("x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-extfile", "names", "-out", "server.pem"),
    )
    for name in ("server.key", "server.pem"):
        (folder / name).chmod(0o600)
        if NOBODY:
            shutil.chown(folder / name, "nobody", "nogroup")
    return folder / "ca.pem"


async def test_certificate_is_checked_as_the_url_says(
    outside: Outside, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = make_certificates(folder)
    admin = await outside.ready()
    await admin.execute(f"alter system set ssl_cert_file = '{folder}/server.pem'")
    await admin.execute(f"alter system set ssl_key_file = '{folder}/server.key'")
    await admin.execute("alter system set ssl = on")
    await admin.close()
    outside.stop()
    outside.start()
    await (await outside.ready()).close()

    async def protocol(query: str, host: str = "localhost") -> str | None:
        connection = await connect(f"{outside.dsn.replace('127.0.0.1', host)}?{query}")
        version = "select version from pg_stat_ssl where pid = pg_backend_pid()"
        found: str | None = await connection.fetchval(version)
        await connection.close()
        return found

    assert await protocol("sslmode=disable") is None
    assert await protocol("channel_binding=require") == "TLSv1.3"
    assert await protocol("sslmode=require&ssl_max_protocol_version=TLSv1.2") == "TLSv1.2"
    assert await protocol(f"sslmode=verify-full&sslrootcert={ca}") == "TLSv1.3"
    assert await protocol(f"sslmode=verify-ca&sslrootcert={ca}&hostaddr=127.0.0.1", "elsewhere.example") == "TLSv1.3"
    with pytest.raises(DatabaseError, match="certificate verify failed"):
        await protocol("sslrootcert=system")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))  # now the machine trusts it
    assert await protocol("sslrootcert=system&channel_binding=require&connect_timeout=9") == "TLSv1.3"
    with pytest.raises(DatabaseError, match=r"certificate is not valid for '127[.]0[.]0[.]1'"):
        await protocol("sslrootcert=system&", "127.0.0.1")
