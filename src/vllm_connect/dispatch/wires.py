"""The wires of a client and its copies: one per server, made when first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.request import getproxies

from vllm_connect.dispatch.peer import judge_in_clear, judge_nothing
from vllm_connect.endpoint import Endpoint, Tls
from vllm_connect.settings import Limits
from vllm_connect.wire.proxy import with_system_proxies
from vllm_connect.wire.route import Route, TlsLayer, route_to

__all__ = ["Wires"]

W = TypeVar("W")
Judge = Callable[[str], None]


class _Way(NamedTuple):
    """What tells one wire from another."""

    scheme: str
    host: str
    port: int
    socket: str | None
    address: str | None


def _way(endpoint: Endpoint) -> _Way:
    return _Way(endpoint.scheme, endpoint.host, endpoint.port, endpoint.socket, endpoint.address)


class Others:
    """Knows whether another replica could do what the one of a name is silent about; by itself, that none could."""

    def __init__(self) -> None:
        self.can_do_for: Callable[[str], bool] = lambda _name: False


@dataclass
class Wires(Generic[W]):
    """Gives the wire to a server, or None where only the SDK's transport goes that way.

    `make` makes a wire of a route. `guards_key` says whether a key is at stake on connections in clear. A proxy is
    looked for when the first connection is needed, as the SDK's transport does when it is made.
    """

    make: Callable[[Route, Limits, Judge], W]
    tls: Tls | None
    limits: Limits
    guards_key: bool
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    others: Others = field(default_factory=Others, repr=False)
    _made: dict[_Way, W | None] = field(default_factory=dict, repr=False)
    _layers: dict[str, TlsLayer] = field(default_factory=dict, repr=False)

    def to(self, endpoint: Endpoint) -> W | None:
        """Return the wire to this server; raises SettingsError for a proxy that cannot be used."""
        way = _way(endpoint)
        if way not in self._made:
            self._made[way] = self._wire(endpoint)
        return self._made[way]

    def keep(self, endpoints: Iterable[Endpoint]) -> None:
        """Forget the wires to addresses of names that are none of these: what is under way there goes on to its end."""
        kept = {_way(endpoint) for endpoint in endpoints}
        for way in tuple(self._made):
            if way.address is not None and way not in kept:
                self._made.pop(way, None)

    def route(self, endpoint: Endpoint) -> Route:
        """Return the way to this server; raises SettingsError for a proxy that cannot be used."""
        route = route_to(endpoint, self.tls, with_system_proxies(self.environment, getproxies))
        if route.tls is None or route.proxy is not None:
            return route
        # One for all addresses of a name: reading a trust store takes its time.
        return replace(route, tls=self._layers.setdefault(endpoint.host, route.tls))

    @property
    def made(self) -> list[W]:
        """The wires that there are."""
        return [wire for wire in self._made.values() if wire is not None]

    def _wire(self, endpoint: Endpoint) -> W | None:
        route = self.route(endpoint)
        if route.needs_sdk_transport:
            return None
        in_clear = self.guards_key and endpoint.scheme == "http"
        wire: Any = self.make(route, self.limits, judge_in_clear if in_clear else judge_nothing)
        others, name = self.others, str(endpoint)  # not this object, which would hold itself by its wires
        wire.has_alternative = lambda: others.can_do_for(name)
        made: W = wire
        return made
