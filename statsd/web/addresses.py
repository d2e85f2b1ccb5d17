"""Addresses: which client and which network a request comes from, and which hosts are this machine."""

import ipaddress
import logging
import re
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import web

from statsd.settings import Network
from statsd.web import SETTINGS

log = logging.getLogger("statsd.web")


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def client_network(address: str) -> str:
    """Return what limits count as one client: an IPv4 address, or the /64 of an IPv6 address."""
    ip = _ip(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return address


def client_address(request: web.Request) -> str:
    """Return the client's address: the peer, or behind TRUSTED_PROXIES the last other address of X-Forwarded-For."""
    trusted = request.app[SETTINGS].trusted_proxies
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
    hops = [hop.strip() for hop in forwarded.split(",")[-20:] if hop.strip()]
    address = request.remote or ""
    ip = _ip(address)
    if hops and ip and ip.is_private and not is_within(address, trusted):
        _warn_of_proxy(address)
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


@lru_cache(maxsize=16)
def _warn_of_proxy(address: str) -> None:
    """Warn once: an untrusted proxy makes all its users one address."""
    log.warning("X-Forwarded-For of %s is ignored: if that is your proxy, add it to TRUSTED_PROXIES", address)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address belongs to one of the networks; False for a text that is no address."""
    ip = _ip(address)
    return ip is not None and any(ip in network for network in networks)


def is_one_of(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header is one of the names or a name of this machine, with any port."""
    name = re.sub(r":\d*\Z", "", host, flags=re.ASCII).lower()
    return name in names or is_loopback(name.strip("[]"))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    ip = _ip(host)
    return ip.is_loopback if ip else host == "localhost"
