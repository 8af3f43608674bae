"""Where the machines of a run are in the network, and what mlx.launch is told of them.

Names are looked up on the first machine, which is this one. Nothing is started here.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from forgellm.domain.errors import HostLost
from forgellm.domain.hosts import LOOPBACK, Host, backend_of

PORTS = range(20_000, 30_000)
"""Below what any system hands out by itself; who has a firewall opens these."""

_PORT_ATTEMPTS = 100


def located(hosts: Sequence[Host]) -> list[Host]:
    """The machines with their addresses. Raises HostLost where one is unknown, or the first is not here."""
    found = [host if host.addresses else replace(host, addresses=(_look_up(host.name),)) for host in hosts]
    first = found[0]
    beyond = [host.name for host in found if not host.addresses[0].startswith("127.")]
    if first.addresses[0].startswith("127.") and beyond:
        raise _unusable(
            first.name,
            f"{first.name} is {first.addresses[0]} here, where {beyond[0]} cannot connect to",
            f"Give the address that others reach it at: {first.name}=192.168.1.5.",
        )
    for address in first.addresses:
        if not _is_here(address):
            raise _unusable(
                first.name,
                f"the first machine, {_named(first, address)}, is not this one",
                "Name the machine first that the run is started on.",
            )
    return found


def launcher_hosts(hosts: Sequence[Host]) -> Mapping[str, object]:
    """The host file of mlx.launch. The first machine is here, and is not reached by ssh."""
    listed = [
        {
            "ssh": LOOPBACK if rank == 0 or host.addresses[0] == LOOPBACK else host.name,
            "ips": list(host.addresses),
            "rdma": [_device(one) for one in host.devices],
        }
        for rank, host in enumerate(hosts)
    ]
    backend = backend_of(hosts)
    # Without it a GPU takes milliseconds to see what came over RDMA (mlx's documentation).
    return {
        "backend": backend,
        "envs": [] if backend == "ring" else ["MLX_METAL_FAST_SYNCH=1"],
        "hosts": listed,
    }


def free_port(hosts: Sequence[Host], source: random.Random) -> int:
    """The first of as many ports in a row as a ring takes, free as far as this machine can tell.

    Raises HostLost where none is.
    """
    addresses = [address for host in hosts for address in host.addresses]
    for _ in range(_PORT_ATTEMPTS):
        start = source.choice(PORTS[: -len(addresses)])
        if _are_free(list(zip(addresses, range(start, start + len(addresses)), strict=True))):
            return start
    raise _unusable(
        hosts[0].name,
        f"no {len(addresses)} ports in a row are free between {PORTS[0]} and {PORTS[-1]}",
        "Close programs that listen on so many ports.",
    )


def _are_free(places: Sequence[tuple[str, int]]) -> bool:
    with ExitStack() as held:
        for place in places:
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(place)
            except OSError as error:
                # The other machines' addresses cannot be tried from here.
                if error.errno != errno.EADDRNOTAVAIL:
                    return False
    return True


def _is_here(address: str) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            return False
    return True


def _look_up(name: str) -> str:
    try:
        found = socket.getaddrinfo(name.rpartition("@")[2], None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise _unusable(
            name,
            f"the address of {name} is not known here: {error.strerror or error}",
            f"See that it is in the network, or start a run with its address, too: {name}=192.168.1.6.",
        ) from error
    return str(found[0][4][0])


def _named(host: Host, address: str) -> str:
    return address if host.name == address else f"{host.name} at {address}"


def _device(names: tuple[str, ...]) -> object:
    return None if not names else names[0] if len(names) == 1 else list(names)


def _unusable(name: str, message: str, suggestion: str) -> HostLost:
    return HostLost(message, details={"host": name}, suggestion=suggestion)
