"""Addresses of clients: whose a request is, and which network it comes from."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import web

from statsd.settings import SETTINGS, Network

log = logging.getLogger("statsd.web")


def client_network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 of whoever has one IPv6 address of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def client_address(request: web.Request) -> str:
    """Return who asks: the peer, or whoever the nearest proxy we do not trust says it is (TRUSTED_PROXIES)."""
    trusted = request.app[SETTINGS].trusted_proxies
    named = ",".join(request.headers.getall("X-Forwarded-For", []))
    hops = [hop.strip() for hop in named.split(",")[-20:] if hop.strip()]
    address = request.remote or ""
    if hops and is_private(address) and not is_within(address, trusted):
        _warn_of_proxy(address)
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


@lru_cache(maxsize=16)
def _warn_of_proxy(address: str) -> None:
    """Once, for what is a mistake more often than an attack: behind such a proxy everybody is one address."""
    log.warning(
        "X-Forwarded-For of %s is not believed: if that is a proxy of yours, name it in TRUSTED_PROXIES", address
    )


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address belongs to one of the networks; what is no address belongs to none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def is_one_of(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header names this machine, or one of the names; its port does not matter."""
    name = re.sub(r":\d*\Z", "", host, flags=re.ASCII).lower()
    return name in names or is_loopback(name.strip("[]"))


def is_private(address: str) -> bool:
    """Whether an address is one of this machine or of a network of its own."""
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
