"""The servers behind names that stand for one at each of their addresses: when those are looked up, and what is known."""

from __future__ import annotations

import ipaddress
import math
import socket
import threading
from collections.abc import Callable, Iterable, Sequence

from vllm_connect.endpoint import Endpoint

__all__ = ["Lookup", "Resolver", "addresses_of"]

# A host's name to its IP addresses; raises OSError where there are none.
Resolver = Callable[[str], Sequence[str]]

BETWEEN_LOOKUPS = 30.0
BETWEEN_SOONER_LOOKUPS = 5.0


def addresses_of(host: str) -> Sequence[str]:
    """Return the addresses of a name, as the system knows them; blocks."""
    found = (str(answer[4][0]) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    return [address for address in found if "%" not in address]  # a zone, which no URL spells


def one_family(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the IPv4 addresses where there are any, else the others; each once, in an order that stays.

    A pod of a cluster with both families has an address of each, and is one server. vLLM listens on IPv4 by itself.
    """
    found = {ipaddress.ip_address(address) for address in addresses}
    family = min((one.version for one in found), default=None)
    return tuple(sorted(str(one) for one in found if one.version == family))


class Lookup:
    """The servers of some endpoints: each is one itself, or stands for those at the addresses of its name.

    A name that was not found yet stands for itself: connected to, it fails with what is wrong with it, or goes to any of
    its addresses. One that is found no more keeps the addresses that it had. `between`: seconds from one lookup to the
    next; `sooner`: after a replica was away, or a lookup failed.
    """

    def __init__(
        self,
        given: Sequence[Endpoint],
        resolve: Resolver = addresses_of,
        *,
        between: float = BETWEEN_LOOKUPS,
        sooner: float = BETWEEN_SOONER_LOOKUPS,
    ) -> None:
        self._lock = threading.Lock()
        # Set while nobody looks names up: many calls may begin at once, of which one does, and the others wait.
        self.answered = threading.Event()
        self.answered.set()
        self._resolve = resolve
        self._between = between
        self._sooner = sooner
        self._given = tuple(given)
        self._found: dict[Endpoint, tuple[Endpoint, ...]] = {}
        self._asked = self._last = self._next = -math.inf

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The servers that are known, in the order in which their endpoints were given."""
        return tuple(server for endpoint in self._given for server in self._found.get(endpoint, (endpoint,)))

    @property
    def has_names(self) -> bool:
        return any(endpoint.every_address for endpoint in self._given)

    def is_due(self, now: float) -> bool:
        """Whether a call that begins looks names up, or waits for the first answer to another one that does."""
        if now < self._next or not self.has_names:
            return False
        return math.isinf(self._last) or not self._is_under_way(now)

    def begin(self, now: float) -> bool:
        """Return whether it is the caller who looks names up; anybody else waits for `answered`."""
        with self._lock:
            if self._is_under_way(now):
                return False
            self._asked = now
            self.answered.clear()
            return True

    def _is_under_way(self, now: float) -> bool:
        """Whether somebody is looking names up; who has done so for long is waited for no more."""
        return not self.answered.is_set() and now < self._asked + self._sooner

    def have(self, given: Sequence[Endpoint]) -> None:
        """Have other endpoints; names that stay keep what is known of them."""
        self._given = tuple(given)
        self._found = {endpoint: found for endpoint, found in self._found.items() if endpoint in self._given}
        if not self._is_complete:
            self._next = -math.inf

    def look_up(self, now: float) -> None:
        """Ask for the addresses of every name. Blocks, and raises nothing."""
        names = [endpoint for endpoint in self._given if endpoint.every_address]
        found = {endpoint: self._at_addresses(endpoint) for endpoint in names}
        self._found = self._found | {endpoint: servers for endpoint, servers in found.items() if servers}
        self._last = now
        self._next = now + (self._between if self._is_complete else self._sooner)

    def forget(self) -> None:
        """Leave what is being looked up to the process that this one was forked from."""
        self._lock = threading.Lock()
        self.answered = threading.Event()
        self.answered.set()

    def was_away(self) -> None:
        """Take note that a replica could not be reached: it may be at another address by now."""
        self._next = min(self._next, self._last + self._sooner)

    @property
    def _is_complete(self) -> bool:
        return all(endpoint in self._found for endpoint in self._given if endpoint.every_address)

    def _at_addresses(self, endpoint: Endpoint) -> tuple[Endpoint, ...]:
        try:
            addresses = one_family(self._resolve(endpoint.host))
        except (OSError, ValueError):  # not found, or no name that DNS can hold
            addresses = ()
        return tuple(endpoint.at(address) for address in addresses)
