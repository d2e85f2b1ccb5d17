"""The file of a backup: a tar archive, so that it can be read without this program.

database.dump          what pg_dump --format=custom writes
spool/room-0/….seg     events that waited in the spool
secrets/jwt_secret     the secret that signs tokens, if it is kept in the data folder
manifest.json          `Manifest`; the last but one, so a file that was cut off has none
manifest.sha256        its checksum
"""

import hashlib
import json
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from statsd.errors import StatsError

FORMAT = "statsd-live backup"
VERSION = 1
DUMP = "database.dump"
MANIFEST, CHECKSUM = "manifest.json", "manifest.sha256"
CHUNK_BYTES = 1 << 20
MANIFEST_BYTES = 64 << 20  # a spool of a terabyte has 65,000 files
MODE = 0o600


class Member(msgspec.Struct, frozen=True):
    """A file of the archive: its size, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `rows` is counted in the snapshot of the dump, by table."""

    format: str = FORMAT
    version: int = VERSION
    program: str
    created: str
    """When the snapshot was taken: RFC 3339, UTC."""
    server: int
    """Major version of the server that was dumped."""
    pg_dump: int
    """Major version of the pg_dump that wrote the dump; an older pg_restore cannot read it."""
    schema: str
    """The schema of the tables, mostly `public`."""
    migrations: dict[str, str]
    """Checksums of the applied migrations, by name."""
    rows: dict[str, int]
    files: dict[str, Member]


class Writer:
    """Writes an archive to a file that can seek; `files` are the members so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.files: dict[str, Member] = {}

    def add(self, name: str, data: bytes) -> None:
        self._put(name, data)
        self.files[name] = Member(len(data), hashlib.sha256(data).hexdigest())

    async def stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Add a member whose size is known only at its end: then its header is written again."""
        start = self._file.tell()
        self._file.write(_header(name, 0))
        digest, size = hashlib.sha256(), 0
        async for chunk in chunks:
            self._file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        self._pad(size)
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_header(name, size))
        self._file.seek(end)
        self.files[name] = Member(size, digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        self._put(MANIFEST, text)
        self._put(CHECKSUM, f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode())
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))

    def _put(self, name: str, data: bytes) -> None:
        self._file.write(_header(name, len(data)))
        self._file.write(data)
        self._pad(len(data))

    def _pad(self, size: int) -> None:
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, MODE, int(time.time())
    return info.tobuf(tarfile.GNU_FORMAT)  # whose header has one length, whatever the size


class Reader:
    """An archive whose checksums were compared: nothing of it is used before. `read` and `chunks` give its members."""

    def __init__(self, path: Path, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self.manifest = manifest
        self._path, self._tar = path, tar

    def read(self, name: str) -> bytes:
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        yield from _chunks(self._tar, name)


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a backup and compare every checksum. Raises StatsError for a damaged, cut off or foreign file."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = {member.name: member for member in tar.getmembers() if member.isfile()}
            manifest = _manifest(path, tar, members)
            _compare(path, tar, manifest)
            yield Reader(path, tar, manifest)
    except tarfile.TarError as error:
        raise StatsError(f"{path} is damaged, or not a backup of statsd-live: {error}") from error


def _manifest(path: Path, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> Manifest:
    if not {MANIFEST, CHECKSUM} <= members.keys():
        if DUMP in members:
            raise StatsError(f"{path} is incomplete: its end is missing")
        raise StatsError(f"{path} is not a backup of statsd-live")
    if max(members[MANIFEST].size, members[CHECKSUM].size) > MANIFEST_BYTES:
        raise StatsError(f"{path} is damaged: its manifest is too large")
    text, checksum = (b"".join(_chunks(tar, name)) for name in (MANIFEST, CHECKSUM))
    if not checksum.startswith(hashlib.sha256(text).hexdigest().encode()):
        raise StatsError(f"{path} is damaged: the checksum of its manifest is wrong")
    head: Any = json.loads(text)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise StatsError(f"{path} is not a backup of statsd-live")
    if head.get("version") != VERSION:
        raise StatsError(f"{path} was written by a newer program (statsd-live {head.get('program')}): use that one")
    return msgspec.json.decode(text, type=Manifest)


def _compare(path: Path, tar: tarfile.TarFile, manifest: Manifest) -> None:
    for name, member in manifest.files.items():
        digest = hashlib.sha256()
        try:
            for chunk in _chunks(tar, name):
                digest.update(chunk)
        except (KeyError, tarfile.TarError):
            raise StatsError(f"{path} is damaged: {name} is missing or cut off") from None
        if digest.hexdigest() != member.sha256:
            raise StatsError(f"{path} is damaged: the checksum of {name} is wrong")


def _chunks(tar: tarfile.TarFile, name: str) -> Iterator[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(name)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
