"""Addresses: which client and which network a request comes from, and which hosts are this machine."""

import ipaddress
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from statsd.settings import Network, Settings
from statsd.web import SETTINGS, forwarded

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

NO_ADDRESS = "none"
_WITH_PORT = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<bare>[^:\[\]]*))(?::(?:\d{0,5}|_[\w.-]+))?", re.ASCII)
"""An address and its port, which both may be hidden (RFC 7239 §6); IPv6 without brackets has none."""

log = logging.getLogger("statsd.web")


def _ip(text: str) -> IP | None:
    """Return the address in a text: IPv4 also if IPv6 only maps it, and without a zone such as %eth0."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    return ip.ipv4_mapped or ipaddress.IPv6Address(int(ip)) if isinstance(ip, ipaddress.IPv6Address) else ip


def ip_of(spelling: str) -> IP | None:
    """Return the address in a text as proxies write it: in quotes, in brackets, with a port, or bare. None without one.

    `unknown`, `_hidden` and the names that a proxy may use for its clients (RFC 7239) are no addresses.
    """
    text = spelling.strip().strip('"')
    match = _WITH_PORT.fullmatch(text)
    return _ip(match["bracketed"] or match["bare"] or "" if match else text)


def cut(address: str, kept: str) -> str:
    """Return what is stored of an address, for the values of STATS_IP: all of it, its network, or the word "none".

    `truncated` leaves the /24 of an IPv4 address and the /48 of an IPv6 address. A text that is no address may still
    name a machine, so nothing is left of it.
    """
    if kept == "full":
        return address
    ip = _ip(address) if kept == "truncated" else None
    if ip is None:
        return NO_ADDRESS
    network = ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False)
    return str(network.network_address)


def cut_values(value: Any, kept: str) -> Any:
    """Return a JSON value in which every string that is an address is cut. Other strings stay."""
    if isinstance(value, str):
        return cut(value, kept) if ip_of(value) else value
    if isinstance(value, dict):
        return {name: cut_values(part, kept) for name, part in value.items()}
    return [cut_values(part, kept) for part in value] if isinstance(value, list) else value


def client_network(address: str) -> str:
    """Return what limits count as one client: an IPv4 address, or the /64 of an IPv6 address."""
    ip = _ip(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip or address)


def client_address(request: web.Request) -> str:
    """Return the client's address in its shortest spelling: what limits count, and what is kept of who asked.

    That is the peer, or behind TRUSTED_PROXIES the nearest address that is not one of them. Where a proxy names no
    address, whoever asked it counts as the proxy: as a text, one client could be a new one each time.
    """
    trusted, headers = request.app[SETTINGS].trusted_proxies, request.headers
    peer = request.remote or ""
    ip = _ip(peer)
    if ip is None:
        return peer
    if not _is_in(ip, trusted):
        if ip.is_private and ("X-Forwarded-For" in headers or "Forwarded" in headers):
            _warn_of_proxy(peer)
        return str(ip)
    for hop in forwarded.hops(headers):
        asking = ip_of(hop)
        if asking is None:
            break
        ip = asking
        if not _is_in(ip, trusted):
            break
    return str(ip)


@lru_cache(maxsize=16)
def _warn_of_proxy(address: str) -> None:
    """Warn once: an untrusted proxy makes all its users one address."""
    log.warning("X-Forwarded-For of %s is ignored: if that is your proxy, add it to TRUSTED_PROXIES", address)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address belongs to one of the networks; False for a text that is no address."""
    ip = _ip(address)
    return ip is not None and _is_in(ip, networks)


def _is_in(ip: IP, networks: Sequence[Network]) -> bool:
    return any(ip in network for network in networks)


def is_served(host: str | None, settings: Settings) -> bool:
    """Whether the server answers to a Host header, with any port.

    A stranger's page can make its own host name mean our address (DNS rebinding). So a server with ALLOWED_HOSTS
    answers to those only, and one on a loopback address to no name that a stranger can own. Both answer to the names of
    this machine and to that of STATS_PUBLIC_URL. A request without the header is not from a browser.
    """
    names = settings.allowed_hosts
    if host is None or not (names or is_loopback(settings.host)):
        return True
    name = re.sub(r":\d*\Z", "", host, flags=re.ASCII).lower()
    if name in names or is_loopback(name.strip("[]")) or name == urlsplit(settings.public_url or "").hostname:
        return True
    return not (names or _is_public(name))


def _is_public(name: str) -> bool:
    """Whether a name may be in the public DNS: no address is, no name without a dot, and none below `localhost`."""
    return "." in name and not name.endswith(".localhost") and _ip(name.strip("[]")) is None


def is_secure(request: web.Request) -> bool:
    """Whether the browser's connection is TLS: so says STATS_PUBLIC_URL, or a trusted proxy."""
    settings = request.app[SETTINGS]
    if settings.public_url:
        return settings.public_url.startswith("https:")
    return forwarded.is_https(request.headers) and is_within(request.remote or "", settings.trusted_proxies)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    ip = _ip(host)
    return ip.is_loopback if ip else host == "localhost"
