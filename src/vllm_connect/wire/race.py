"""Which of a name's addresses is connected to: several at staggered times, the first one wins (RFC 8305).

A race starts sockets and judges them; waiting until one is writable is left to a blocking or an asyncio shell.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, Self

__all__ = ["STAGGER", "Address", "Race"]

# Seconds that an address has before the next one is tried beside it (RFC 8305, 5).
STAGGER = 0.25
# A request is one small write, which must not wait for the acknowledgement of another. Silence of minutes is
# ordinary before a first token: probes keep the way open in firewalls and load balancers, and tell a dead host.
# macOS has another name for the seconds until the first probe.
OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0)), 60),
)


class Address(NamedTuple):
    """One address that a name stands for, as `getaddrinfo` tells it; or the path of a unix socket."""

    family: int
    sockaddr: Any

    @property
    def host(self) -> str:
        """The IP address, or the path of the unix socket."""
        return self.sockaddr if isinstance(self.sockaddr, str) else str(self.sockaddr[0])

    def __str__(self) -> str:
        if isinstance(self.sockaddr, str):
            return self.sockaddr
        return f"[{self.host}]:{self.sockaddr[1]}" if ":" in self.host else f"{self.host}:{self.sockaddr[1]}"


class Race:
    """Connects to addresses until one answers; leaving the `with` closes every socket but the winner's."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._waiting = deque(_interleaved(addresses))
        self._running: dict[socket.socket, Address] = {}
        self._failed: list[tuple[Address, OSError]] = []

    @property
    def has_more(self) -> bool:
        """Whether addresses are left that were not tried yet."""
        return bool(self._waiting)

    @property
    def running(self) -> Iterable[socket.socket]:
        """The sockets that are connecting."""
        return self._running

    def start_next(self) -> socket.socket | None:
        """Begin to connect to the next address and return its socket; None when no address is left.

        Raises OSError when all have failed: with the number of the first refusal, and the reasons of all.
        """
        while self._waiting:
            address = self._waiting.popleft()
            try:
                connecting = _connecting(address)
            except OSError as error:
                self._failed.append((address, error))
            else:
                self._running[connecting] = address
                return connecting
        if not self._running:
            raise self._verdict()
        return None

    def settle(self, writable: socket.socket) -> Address | None:
        """Return the address that this socket is connected to, and release the socket; None if it failed."""
        address = self._running.pop(writable)
        number = writable.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == 0:
            return address
        writable.close()
        self._failed.append((address, OSError(number, os.strerror(number))))
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connecting in self._running:
            connecting.close()

    def _verdict(self) -> OSError:
        errors = [error for _, error in self._failed]
        # A refusal comes from the server's machine and says more than a family that has no way there.
        blamed = next((error for error in errors if isinstance(error, ConnectionRefusedError)), errors[0])
        reasons = "; ".join(f"{address}: {error.strerror or error}" for address, error in self._failed)
        return OSError(reasons) if blamed.errno is None else OSError(blamed.errno, reasons)


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with the families taking turns, each in the order of the resolver (RFC 8305, 4)."""
    preferred = [address for address in addresses if address.family == addresses[0].family]
    others = [address for address in addresses if address.family != addresses[0].family]
    turns = zip_longest(preferred, others)
    return [address for turn in turns for address in turn if address is not None]


def _connecting(address: Address) -> socket.socket:
    """Return a non-blocking socket that has begun to connect."""
    begun = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        begun.setblocking(False)
        if address.family != socket.AF_UNIX:
            for option in OPTIONS:
                begun.setsockopt(*option)
        begun.connect(address.sockaddr)
    except OSError as error:
        # A unix socket whose server is too busy to accept says EAGAIN, and never becomes connected by waiting.
        if error.errno != errno.EINPROGRESS:
            begun.close()
            raise
    return begun
