"""The key of a client, bound to the origin of its server, put on a request just before it leaves."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio.to_thread

from vllm_connect.endpoint import Endpoint, Key
from vllm_connect.endpoint.key import MASK
from vllm_connect.settings import CallableKey, GivenKey, KeySource
from vllm_connect.wire.forks import forget_in_children

if TYPE_CHECKING:
    import httpx2

__all__ = ["KEY_GOES_HERE", "Credentials"]

# What the SDK writes, logs, keeps in options and shows in errors; only the bytes on the wire hold the key.
KEY_GOES_HERE = f"Bearer {MASK}"


class _Keeper:
    """Holds a key once it is loaded: a command runs once and a prompt asks once, for all replicas and threads."""

    __slots__ = ("__weakref__", "loaded", "lock")

    def __init__(self) -> None:
        self.loaded: Key | None = None
        self.lock = threading.Lock()
        forget_in_children(self)

    def forget(self) -> None:
        """Leave a key that is being loaded to the process that this one was forked from."""
        self.lock = threading.Lock()


@dataclass(frozen=True)
class Credentials:
    """One key source and the server it is bound to; the key is loaded at its first use and kept masked."""

    source: KeySource | None
    endpoint: Endpoint
    allow_insecure: bool = False
    _keeper: _Keeper = field(default_factory=_Keeper, repr=False)

    def at(self, endpoint: Endpoint) -> Credentials:
        """Return the same for another replica."""
        return replace(self, endpoint=endpoint)

    @property
    def must_not_travel_in_clear(self) -> bool:
        """Whether there is a key worth protecting, and no word of the caller's that the way is safe."""
        if self.allow_insecure or self.source is None:
            return False
        return not (isinstance(self.source, GivenKey) and self.source.key.is_placeholder)

    @property
    def at_hand(self) -> Key | None:
        """The key where it is loaded already, else None."""
        return self._keeper.loaded

    def key(self) -> Key | None:
        """Return the key, loading it on first use; a function is asked every time."""
        if self.source is None:
            return None
        if isinstance(self.source, CallableKey):
            return self.source.load()
        keeper = self._keeper
        with keeper.lock:
            if keeper.loaded is None:
                keeper.loaded = self.source.load()
            return keeper.loaded

    async def akey(self) -> Key | None:
        """Return the key without blocking the event loop: files, commands and prompts wait in a thread."""
        if isinstance(self.source, CallableKey):
            return await self.source.aload()
        if self.source is None or self._keeper.loaded is not None or isinstance(self.source, GivenKey):
            return self.key()
        return await anyio.to_thread.run_sync(self.key)


def wants_key(headers: httpx2.Headers) -> bool:
    """Whether the key belongs on a request: the caller set no Authorization of its own."""
    return headers.get("Authorization") == KEY_GOES_HERE


def put_key(headers: httpx2.Headers, key: Key | None) -> None:
    """Write the key in its place, or take the place away where there is none.

    The name keeps its spelling: httpx would write it anew, openai 2.x and 3.x spell it differently.
    """
    name = next(name for name, _ in headers.raw if name.lower() == b"authorization").decode()
    if key is None:
        del headers[name]
    else:
        headers[name] = f"Bearer {key.reveal()}"
