"""The machines that one run is trained on, as a spec and mlx's own host files write them.

A machine is `[user@]name[=address[+address]][/device]…`: how ssh reaches it, the IPv4 addresses that the
others connect to (looked up where none is given), and for jaccl the RDMA devices that lead to each machine,
`-` for none. Names end in command lines of ssh: nothing but what a name may have is let through.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forgellm.domain.errors import InvalidField

Backend = Literal["ring", "jaccl", "jaccl-ring"]

MOST = 64
LOOPBACK = "127.0.0.1"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?:[A-Za-z_][A-Za-z0-9_.-]{{0,31}}@)?{_LABEL}(?:\.{_LABEL}){{0,8}}\.?")
_DEVICE = re.compile(r"[A-Za-z0-9_]{1,32}")
_SETTINGS = {"MLX_METAL_FAST_SYNCH=1", "MLX_METAL_FAST_SYNCH=0"}
_FORM = "Write name, user@name, or name=192.168.1.5, and a comma between two: mac1.local,mac2.local."


@dataclass(frozen=True)
class Host:
    """`name` is what ssh is given. `devices` has, where there are any, one list for every host of the run."""

    name: str
    addresses: tuple[str, ...] = ()
    devices: tuple[tuple[str, ...], ...] = ()


def parse_hosts(items: Sequence[str]) -> tuple[Host, ...]:
    """The machines of a spec's field; none where it is empty. Raises InvalidField."""
    hosts = tuple(_parse(item) for item in items)
    if len(hosts) == 1 or len(hosts) > MOST:
        named = "one machine is named" if len(hosts) == 1 else f"{len(hosts)} machines are named"
        raise InvalidField(
            f"{named}, and a run on several takes from 2 to {MOST}",
            details={"field": "hosts"},
            suggestion="Name this machine first and then the others, or none to train on this one alone.",
        )
    _check_each_is_another(items, hosts)
    if any(host.devices for host in hosts):
        _check_devices(items, hosts)
    else:
        _check_addresses(items, hosts)
    return hosts


def _check_each_is_another(items: Sequence[str], hosts: Sequence[Host]) -> None:
    """Only this machine may be named more than once, by loopback addresses, to try things out."""
    seen: set[str] = set()
    for item, host in zip(items, hosts, strict=True):
        name = host.name.rpartition("@")[2].rstrip(".").lower()
        addresses = host.addresses or ((LOOPBACK,) if name == "localhost" else (name,))
        if all(address.startswith("127.") for address in addresses):
            continue
        known = {name, *host.addresses}
        if again := sorted(known & seen):
            instead = "Name each machine once. To try it on this one alone: --hosts 127.0.0.1,127.0.0.1."
            raise _invalid(item, f"{again[0]} is named twice", instead)
        seen |= known


def _check_addresses(items: Sequence[str], hosts: Sequence[Host]) -> None:
    """MLX's ring connects each to its left as often as to its right; a name alone is one address."""
    counts = [max(1, len(host.addresses)) for host in hosts]
    most = max(counts, default=0)
    for item, host, count in zip(items, hosts, counts, strict=True):
        if count != most:
            example = "+".join(f"192.168.{place}.5" for place in range(1, most + 1))
            instead = f"Write equally many for each: {host.name}={example}, or one for each."
            raise _invalid(item, f"{most} addresses of another machine need as many of this one", instead)


def _check_devices(items: Sequence[str], hosts: Sequence[Host]) -> None:
    """Each machine has a place for every one: `-` for itself, and a device for each neighbour at least."""
    most = len(hosts)
    for rank, (item, host) in enumerate(zip(items, hosts, strict=True)):
        places = "/".join(_places(host, rank, most))
        instead = f"Write a device for each other machine, and - for itself: {item.split('/')[0]}/{places}."
        if len(host.devices) != most:
            raise _invalid(item, f"each machine has to name {most} devices, or none does", instead)
        if host.devices[rank]:
            raise _invalid(item, f"{host.devices[rank][0]} would lead from it to itself", instead)
        for other in ((rank - 1) % most, (rank + 1) % most):
            if not host.devices[other]:
                raise _invalid(item, f"no RDMA device leads to {hosts[other].name}, beside it", instead)


def _places(host: Host, rank: int, count: int) -> Iterator[str]:
    """What this machine could have named: its own devices where they are, and one where it takes one."""
    named = dict(enumerate(host.devices))
    for other in range(count):
        beside = other in ((rank - 1) % count, (rank + 1) % count)
        yield "-" if other == rank else "+".join(named.get(other, ())) or ("rdma_en2" if beside else "-")


def check_hosts(items: Sequence[str], *, batch_size: int, lora_init: str) -> None:
    """Whether the rows of a batch can be shared out. PiSSA cannot: it also changes what does not learn, which
    nobody is sent. Raises InvalidField."""
    hosts = parse_hosts(items)
    if batch_size < len(hosts):
        raise InvalidField(
            f"batch_size is {batch_size}, and {len(hosts)} machines share the rows of a batch",
            details={"field": "batch_size", "other": "hosts"},
            suggestion=f"Use a batch_size of at least {len(hosts)}, or fewer machines.",
        )
    if hosts and lora_init == "pissa":
        raise InvalidField(
            "lora_init pissa does not go with hosts",
            details={"field": "lora_init", "other": "hosts"},
            suggestion="Leave lora_init or hosts out.",
        )


def backend_of(hosts: Sequence[Host]) -> Backend:
    """How they talk: over RDMA where it is said by which devices, in a ring where some pairs have none."""
    if not hosts[0].devices:
        return "ring"
    missing = any(not host.devices[j] for i, host in enumerate(hosts) for j in range(len(hosts)) if i != j)
    return "jaccl-ring" if missing else "jaccl"


def hosts_of_file(data: object) -> list[str]:
    """What the field has for the parsed JSON of a host file of mlx.launch. Raises InvalidField."""
    content: Mapping[str, object] = data if isinstance(data, dict) else {"hosts": data}
    backend = content.get("backend") or "ring"
    if backend not in ("ring", "jaccl", "jaccl-ring"):
        raise _bad_file(f"its backend is {str(backend)[:40]!r}; ring, jaccl and jaccl-ring can be used")
    settings = content.get("envs") or []
    if not isinstance(settings, list) or not all(
        isinstance(one, str) and one in _SETTINGS for one in settings
    ):
        raise _bad_file("of envs only MLX_METAL_FAST_SYNCH can be used")
    hosts = content.get("hosts")
    if not isinstance(hosts, list) or not all(isinstance(host, dict) for host in hosts):
        raise _bad_file("it has no list of hosts")
    if len(hosts) < 2:
        raise _bad_file(f"it has {len(hosts)} hosts, and a run on several machines takes two at least")
    items = [_item(host, with_devices=backend != "ring") for host in hosts]
    if backend != "ring" and not any(host.get("rdma") for host in hosts):
        raise _bad_file(f"its backend is {backend}, and no host names an RDMA device")
    parse_hosts(items)
    return items


def _item(host: Mapping[str, object], *, with_devices: bool) -> str:
    name, addresses, devices = host.get("ssh"), host.get("ips") or [], host.get("rdma") or []
    if not isinstance(name, str) or not isinstance(addresses, list) or not isinstance(devices, list):
        raise _bad_file("each host needs ssh, and lists of ips and rdma")
    said = name + ("=" + "+".join(map(str, addresses)) if addresses else "")
    for device in devices if with_devices else ():
        several = device if isinstance(device, list) else [device]
        said += "/" + ("-" if device is None else "+".join(map(str, several)))
    return said


def _parse(item: str) -> Host:
    reach, *devices = item.split("/")
    name, sign, addresses = reach.partition("=")
    if not _NAME.fullmatch(name):
        raise _invalid(item, "that is no name of one")
    found = tuple(_address(item, text) for text in addresses.split("+")) if sign else ()
    if not found and _is_address(name.rpartition("@")[2]):
        found = (name.rpartition("@")[2],)
    return Host(name, found, tuple(_device(item, text) for text in devices))


def _address(item: str, text: str) -> str:
    if not _is_address(text):
        raise _invalid(item, f"{text[:40]!r} is no IPv4 address")
    return text


def _is_address(text: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(text)) == text
    except ValueError:
        return False


def _device(item: str, text: str) -> tuple[str, ...]:
    if text == "-":
        return ()
    devices = tuple(text.split("+"))
    if not all(_DEVICE.fullmatch(device) for device in devices):
        raise _invalid(item, f"{text[:40]!r} is no RDMA device")
    return devices


def _invalid(value: str, reason: str, instead: str = _FORM) -> InvalidField:
    shown = repr(value[:80])
    return InvalidField(
        f"the machine {shown} cannot be used: {reason}",
        details={"field": "hosts", "value": shown},
        suggestion=instead,
    )


def _bad_file(reason: str) -> InvalidField:
    return InvalidField(
        f"the host file cannot be used: {reason}",
        details={"field": "hosts"},
        suggestion="mlx.distributed_config writes such files; or name the machines: --hosts a,b.",
    )
