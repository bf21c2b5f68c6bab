"""One test, every kind of client: blocking, async on asyncio, async on trio."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from vllm_connect import AsyncOpenAI, OpenAI

__all__ = ["KINDS", "Caller", "every_kind", "sessions_until"]

KINDS = ("blocking", "asyncio", "trio")
every_kind = pytest.mark.parametrize("caller", KINDS, indirect=True)
# So many that each of two servers is the home of one, but once in 16 million times.
MOST_SESSIONS = 24


def sessions_until(met: Callable[[], Any]) -> Iterator[dict[str, str]]:
    """Yield the headers of one session after another until something was met: which replica is its home is chance."""
    for number in range(MOST_SESSIONS):
        yield {"X-Session-ID": str(number)}
        if met():
            return
    raise AssertionError(f"{MOST_SESSIONS} sessions did not meet it")


class Caller:
    """Makes clients of one kind and runs their calls to the end.

    `run(function)` calls `function(client)` and finishes whatever it returns: an awaitable, an async
    iterator, or a plain value; streams come back as lists.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def run(self, function: Callable[[Any], Any], **arguments: Any) -> Any:
        """Make a client with these arguments, call the function with it, close it, return the finished value."""
        if self.kind == "blocking":
            with OpenAI(**arguments) as client:
                return _drained(function(client))
        # A closure, as the frames of the event loop are part of every traceback and hold its arguments.
        return anyio.run(lambda: self._arun(function, arguments), backend=self.kind)

    @staticmethod
    async def _arun(function: Callable[[Any], Any], arguments: dict[str, Any]) -> Any:
        async with AsyncOpenAI(**arguments) as client:
            return await _adrained(function(client))


def _drained(value: Any) -> Any:
    return list(value) if hasattr(value, "__next__") else value


async def _adrained(value: Any) -> Any:
    if inspect.isawaitable(value):
        value = await value
    return [item async for item in value] if hasattr(value, "__anext__") else value
