"""What is checked without the database: settings, the data folder, the disk, the spool, and the clock's source."""

import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from statsd import program
from statsd import settings as settings_of
from statsd.doctor.finding import Finding, fault, ok, warning
from statsd.ingest import segments
from statsd.settings import Settings
from statsd.streams.webhooks import presets
from statsd.web.addresses import is_loopback
from statsd.web.exposure import exposure

SHORTEST_KEY = 16  # characters of WEBHOOK_API_KEY and of services' secrets: fewer can be guessed
WIDEST_PROXIES = 1 << 16  # addresses: whoever is in a trusted network chooses the address that is logged
LOW_SHARE, LOW_BYTES = 0.1, 1 << 30  # of a disk: below both it is nearly full
SECRETS = ("jwt_secret", "password")  # files of the data folder
CLOCK_SECONDS = 2.0


def settings(current: Settings) -> Iterator[Finding]:
    """Check names, weak values, and what strangers may do. A wrong value ends every command before this."""
    unknown = [*settings_of.unknown(), *presets.unknown(current)]
    for sentence in unknown:
        yield warning("settings", sentence, "correct the name, or remove it from the environment and .env")
    if current.webhook_api_key and len(current.webhook_api_key) < SHORTEST_KEY:
        text = f"WEBHOOK_API_KEY has {len(current.webhook_api_key)} characters and can be guessed"
        yield warning("settings", text, "make a longer one with openssl rand -hex 32")
    for sender, secrets in current.sender_secrets.items():
        if shortest := min((len(secret) for secret in secrets if len(secret) < SHORTEST_KEY), default=0):
            text = f"{presets.setting(sender)} has a secret of {shortest} characters, which can be guessed"
            yield warning("settings", text, "give the service a longer one, such as openssl rand -hex 32 prints")
    wide = [str(network) for network in current.trusted_proxies if network.num_addresses > WIDEST_PROXIES]
    if wide:
        text = f"TRUSTED_PROXIES trusts {', '.join(wide)}: everybody there can claim any address"
        yield warning("settings", text, "name the proxies' own addresses")
    open_doors = "" if is_loopback(current.host) else exposure(current)
    if open_doors:
        yield warning("settings", open_doors, "make the settings that it names, or keep the port behind a proxy")
    if not unknown and not open_doors:
        where = "only this machine reaches it" if is_loopback(current.host) else "nothing is open to strangers"
        yield ok("settings", f"all names are known; HOST is {current.host}: {where}")


def permissions(current: Settings, dotenv_path: Path = Path(".env")) -> Iterator[Finding]:
    """Check who may read the secrets, and whether this user may write the data folder."""
    folder = current.data_dir
    with suppress(FileNotFoundError):
        if dotenv_path.stat().st_mode & 0o077:
            yield warning("permissions", f"other users may read {dotenv_path}", f"chmod 600 {dotenv_path}")
    if not folder.is_dir():
        text = f"the data folder {folder.absolute()} does not exist"
        yield warning("permissions", text, "set STATS_DATA_DIR to it, or run this where serve runs")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        text = f"this user cannot write the data folder {folder.absolute()}: the spool cannot work"
        yield fault("permissions", text, f"chown it, or run as its owner (uid {folder.stat().st_uid})")
        return
    readable = [path for name in SECRETS if (path := folder / name).is_file() and path.stat().st_mode & 0o077]
    for path in readable:
        yield fault("permissions", f"other users may read {path}, a secret", f"chmod 600 {path}")
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield fault("permissions", f"other users may write the data folder {folder}", f"chmod go-w {folder}")
    elif not readable:
        yield ok("permissions", f"only its owner reads the secrets in {folder.absolute()}")


def disk(current: Settings) -> Iterator[Finding]:
    """Check how much room the disk of the data folder has."""
    folder = current.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    text = f"{_gib(usage.free)} of {_gib(usage.total)} are free where {current.data_dir} is"
    mend = "free some space, or move the data folder to a larger disk"
    if usage.free < current.spool_min_free:
        more = f"; below {_gib(current.spool_min_free)} (STATS_SPOOL_MIN_FREE) the spool takes nothing"
        yield fault("disk", text + more, mend)
    elif usage.free < min(LOW_BYTES, LOW_SHARE * usage.total):
        yield warning("disk", text, mend)
    else:
        yield ok("disk", text)


def _gib(size: int) -> str:
    return f"{size / (1 << 30):,.1f} GiB"


def spool(current: Settings) -> Iterator[Finding]:
    """Check the events that wait on disk, and the files that were damaged."""
    folder = current.data_dir / "spool"
    waiting = 0
    for slot in sorted(folder.glob("room-*")):
        files = sorted(slot.glob("*.seg"))
        rows = sum(_rows(file) for file in files)
        waiting += rows
        if not rows:
            continue
        age = time.time() - min(file.stat().st_mtime for file in files)
        text = f"{rows:,} accepted events wait in {slot} since {age:,.0f} s"
        if _is_held(slot):
            mend = "if it does not shrink, look for why the database is away in /health and in the server's log"
            yield warning("spool", f"{text}; a server holds them", mend)
        else:
            mend = f"{program()} serve with the same data folder stores them"
            yield fault("spool", f"{text}, and no server runs that would store them", mend)
    for file in sorted(folder.glob("room-*/*.corrupt")):
        mend = f"what could be read of it is stored; keep a copy for a look at the disk, then rm {file}"
        yield fault("spool", f"{file} is damaged: events in it may be lost", mend)
    if not waiting and not any(folder.glob("room-*/*.corrupt")):
        yield ok("spool", "no event waits on disk, no file is damaged")


def _rows(file: Path) -> int:
    try:
        return sum(record is not None for record in segments.records(file))
    except OSError:  # delivered and deleted meanwhile
        return 0


def _is_held(slot: Path) -> bool:
    """Whether a server holds a slot. The check takes its lock for a moment; a server that starts takes another slot."""
    descriptor = os.open(slot, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def clock_source(_: Settings) -> Iterator[Finding]:
    """Check whether the clock of this machine is set by a time server, if systemd knows."""
    command = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=CLOCK_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    if output.strip() == "no":
        text = "no time server sets the clock of this machine: events without a time get a wrong one"
        yield warning("clock", text, "timedatectl set-ntp true")
