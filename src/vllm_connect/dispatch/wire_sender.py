"""Our own wire as a sender: one attempt of a prepared call over it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vllm_connect.dispatch.call import Call
from vllm_connect.dispatch.failure import wire_failure
from vllm_connect.endpoint import Key
from vllm_connect.wire.asynchronous import AsyncWire
from vllm_connect.wire.blocking import BlockingExchange, BlockingWire
from vllm_connect.wire.exchange import Wanted
from vllm_connect.wire.failures import WireFailure
from vllm_connect.wire.request import Head, Outgoing

if TYPE_CHECKING:
    import httpx2

__all__ = ["Sent", "asend", "send"]


class Sent:
    """An attempt that was answered: its exchange, the key it left with, the moment of its answer."""

    __slots__ = ("answered", "exchange", "key")

    def __init__(self, exchange: Any, key: Key | None, answered: float) -> None:
        self.exchange = exchange
        self.key = key
        self.answered = answered


async def asend(  # noqa: PLR0917 - once per attempt, and arguments by name cost
    wire: AsyncWire,
    call: Call,
    head: Head,
    body: bytes,
    wanted: Wanted,
    shown: Callable[[], httpx2.Request],
) -> Sent:
    """Return the answer of an attempt; raises our error for what prevents one.

    `shown` makes the request that an error shows.
    """
    credentials = call.member.credentials
    key = None
    if head.wants_key and credentials.source is not None:
        key = credentials.at_hand or await credentials.akey()
    before = sys.exc_info()[1]
    try:
        exchange = await wire.send(
            Outgoing(head, None if key is None else key.reveal(), call.tries - 1, body),
            call.timers,
            call.deadline,
            wanted,
        )
    except (WireFailure, OSError) as error:
        raise wire_failure(error, request=shown(), call=call, before=before) from error
    return Sent(exchange, key, wire.clock())


def send(  # noqa: PLR0917 - as above
    wire: BlockingWire,
    call: Call,
    head: Head,
    body: bytes,
    wanted: Wanted,
    shown: Callable[[], httpx2.Request],
    begun: Callable[[BlockingExchange], None] | None = None,
) -> Sent:
    """Do the same for a blocking client; `begun` as in `BlockingWire.send`."""
    credentials = call.member.credentials
    key = None
    if head.wants_key and credentials.source is not None:
        key = credentials.at_hand or credentials.key()
    before = sys.exc_info()[1]
    try:
        exchange = wire.send(
            Outgoing(head, None if key is None else key.reveal(), call.tries - 1, body),
            call.timers,
            call.deadline,
            wanted,
            begun,
        )
    except (WireFailure, OSError) as error:
        raise wire_failure(error, request=shown(), call=call, before=before) from error
    return Sent(exchange, key, wire.clock())
