"""Under which names the server answers, and with which token: decided once, when it starts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from forgellm.domain.errors import ForgeError, InvalidField

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
_SHORTEST_TOKEN = 8
# Browsers leave this port out of Host and Origin.
_HTTP_PORT = 80


class TokenNeeded(ForgeError):
    """Other machines could reach the server, and nothing would keep them out."""

    code = "TOKEN_NEEDED"
    status = 400


@dataclass(frozen=True)
class Access:
    """`hosts`: the only values of the Host header that are answered, lower-case, as "127.0.0.1:5002".
    `token`: what a request has to carry; None lets every program of this machine in. `has_pages`: without
    pages of its own, a server is asked by no browser."""

    hosts: frozenset[str]
    token: str | None = field(default=None, repr=False)
    has_pages: bool = True

    @property
    def origins(self) -> frozenset[str]:
        """The only values of the Origin header that are answered."""
        return frozenset(f"http://{host}" for host in self.hosts) if self.has_pages else frozenset()


def access(
    host: str, port: int, *, allow: Sequence[str], token: str | None, has_pages: bool = True
) -> Access:
    """Who may ask a server that is bound to `host` and `port`; `allow` has further names, with or without a
    port, under which it is reached.

    Raises TokenNeeded where `host` is not loopback and there is no token, InvalidField for a name or a token
    that no request could carry.
    """
    check_reach(host, token)
    hosts = {spelling for name in (*_LOOPBACK, url_host(host)) for spelling in _with_port(name, port)}
    for entry in allow:
        hosts |= _allowed(entry, port)
    return Access(frozenset(hosts), token, has_pages)


def check_reach(host: str, token: str | None) -> None:
    """Raises TokenNeeded and InvalidField, as `access` does; for asking before anything listens."""
    if token is not None:
        _check_token(token)
    elif not is_loopback(host):
        raise TokenNeeded(
            f"{host} can be reached from other machines, so a token is needed",
            details={"field": "host", "value": host},
            suggestion="Give one with --token or in FORGELLM_TOKEN, or keep to 127.0.0.1, the default.",
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine alone. A name other than localhost may mean anything."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def url_host(host: str) -> str:
    """`host` as it stands in an address: an IPv6 address in brackets, a wildcard as the loopback one."""
    address = _address(host)
    if address is None:
        return host.lower()
    if address.is_unspecified:
        return "[::1]" if address.version == 6 else "127.0.0.1"
    return f"[{address}]" if address.version == 6 else str(address)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _with_port(name: str, port: int) -> set[str]:
    return {f"{name}:{port}", *([name] if port == _HTTP_PORT else [])}


def _allowed(entry: str, port: int) -> set[str]:
    name, own_port = _split(entry)
    address = _address(name)
    if (address is None and not _NAME.fullmatch(name)) or (address is not None and address.is_unspecified):
        raise _refused_name(entry)
    return _with_port(url_host(name), port if own_port is None else own_port)


def _split(entry: str) -> tuple[str, int | None]:
    if _address(entry) is not None:
        return entry, None
    try:
        parts = urlsplit(f"//{entry}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused_name(entry) from None
    if parts.netloc != entry or parts.username is not None:
        raise _refused_name(entry)
    return name, port


def _refused_name(entry: str) -> InvalidField:
    return InvalidField(
        f"{entry!r} is not a host name under which a browser could reach this server",
        details={"field": "allow_host", "value": entry},
        suggestion="Give a name or an address, as mymac.local or 192.168.1.20, with :PORT if it differs.",
    )


def _check_token(token: str) -> None:
    if len(token) < _SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise InvalidField(
            f"a token has at least {_SHORTEST_TOKEN} characters: ASCII letters, digits and signs, no spaces",
            details={"field": "token"},
            suggestion="`openssl rand -hex 16` makes a good one.",
        )
