"""Who is at the other end of a new connection: over plain http a key goes to trusted networks only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm_connect.dispatch.credentials import Credentials
from vllm_connect.dispatch.failure import key_refused
from vllm_connect.endpoint import may_travel_in_clear
from vllm_connect.errors import KeyRefused
from vllm_connect.wire.failures import PeerRefused

if TYPE_CHECKING:
    import httpx2

__all__ = ["PeerCheck", "judge_in_clear", "judge_nothing"]

CONNECTED = "connection.connect_tcp.complete"


class PeerCheck:
    """A trace of httpcore that breaks off before a byte leaves, if the key must not go to this address.

    A name says nothing about the network behind it, so the connected address is judged, not the name.
    Every new connection of a client with a key is judged, also for a request without it: the next may carry it.
    """

    def __init__(self, request: httpx2.Request, credentials: Credentials) -> None:
        self._request = request
        self._credentials = credentials
        self._watching = request.url.scheme == "http" and credentials.must_not_travel_in_clear

    def trace(self, event: str, info: dict[str, Any]) -> None:
        address = self._foreign(event, info)
        if address is not None:
            info["return_value"].close()
            raise self.refused(address)

    async def atrace(self, event: str, info: dict[str, Any]) -> None:
        address = self._foreign(event, info)
        if address is not None:
            await info["return_value"].aclose()
            raise self.refused(address)

    def _foreign(self, event: str, info: dict[str, Any]) -> str | None:
        if event != CONNECTED or not self._watching:
            return None
        peer = info["return_value"].get_extra_info("server_addr")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        return None if may_travel_in_clear(address) else address

    def refused(self, address: str) -> KeyRefused:
        """Return the error for a key that must not go to this address."""
        return key_refused(address, request=self._request, origin=self._credentials.endpoint.origin)


def judge_in_clear(address: str) -> None:
    """Judge the address of a connection of our own wire that a key may travel on in clear."""
    if not may_travel_in_clear(address):
        raise PeerRefused(address)


def judge_nothing(_address: str) -> None:
    """Judge a connection that carries no key in clear."""
