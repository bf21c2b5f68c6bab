"""Our own wire as a sender: a prepared call over it, from the first try to the last."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vllm_connect.dispatch.call import Call
from vllm_connect.dispatch.conduct import Conduct
from vllm_connect.dispatch.failure import wire_failure
from vllm_connect.dispatch.retry import Answered
from vllm_connect.endpoint import Key
from vllm_connect.wire.answer import Headers
from vllm_connect.wire.asynchronous import AsyncExchange, AsyncWire
from vllm_connect.wire.blocking import BlockingExchange, BlockingWire
from vllm_connect.wire.exchange import Wanted
from vllm_connect.wire.failures import WireFailure
from vllm_connect.wire.request import Head, Outgoing

if TYPE_CHECKING:
    import httpx2

__all__ = ["Sent", "asend", "send"]

FIRST_ERROR_STATUS = 300


class Sent:
    """A call that was answered: its exchange, the key it left with, the number of tries, the moment of its answer."""

    __slots__ = ("answered", "exchange", "key", "tries")

    def __init__(self, exchange: Any, key: Key | None, tries: int, answered: float) -> None:
        self.exchange = exchange
        self.key = key
        self.tries = tries
        self.answered = answered


async def asend(  # noqa: PLR0917 - once per call, and arguments by name cost
    wire: AsyncWire,
    conduct: Conduct,
    call: Call,
    head: Head,
    body: bytes,
    wanted: Wanted,
    shown: Callable[[], httpx2.Request],
) -> Sent:
    """Return the answer of the last try; raises our error for what prevents one.

    `shown` makes the request that an error shows.
    """
    credentials = call.credentials

    async def attempt(tries: int) -> tuple[Sent, Answered | None]:
        key = None
        if head.wants_key and credentials.source is not None:
            key = credentials.at_hand or await credentials.akey()
        before = sys.exc_info()[1]
        try:
            exchange = await wire.send(
                Outgoing(head, None if key is None else key.reveal(), tries - 1, body),
                call.timers,
                call.deadline,
                wanted,
            )
        except (WireFailure, OSError) as error:
            raise wire_failure(error, request=shown(), call=call, tries=tries, before=before) from error
        return Sent(exchange, key, tries, conduct.clock()), _refusal(exchange)

    return await conduct.arun(call, attempt)


def send(  # noqa: PLR0917 - as above
    wire: BlockingWire,
    conduct: Conduct,
    call: Call,
    head: Head,
    body: bytes,
    wanted: Wanted,
    shown: Callable[[], httpx2.Request],
) -> Sent:
    """Do the same for a blocking client."""
    credentials = call.credentials

    def attempt(tries: int) -> tuple[Sent, Answered | None]:
        key = None
        if head.wants_key and credentials.source is not None:
            key = credentials.at_hand or credentials.key()
        before = sys.exc_info()[1]
        try:
            exchange = wire.send(
                Outgoing(head, None if key is None else key.reveal(), tries - 1, body),
                call.timers,
                call.deadline,
                wanted,
            )
        except (WireFailure, OSError) as error:
            raise wire_failure(error, request=shown(), call=call, tries=tries, before=before) from error
        return Sent(exchange, key, tries, conduct.clock()), _refusal(exchange)

    return conduct.run(call, attempt)


def _refusal(exchange: AsyncExchange | BlockingExchange) -> Answered | None:
    answer = exchange.answer
    assert answer is not None
    if answer.status < FIRST_ERROR_STATUS:
        return None
    return Answered(answer.status, _texts(answer.headers))


def _texts(headers: Headers) -> dict[str, str]:
    """Return headers by lower-case name; those of one name as the list that they are (RFC 9110, 5.3)."""
    texts: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        texts[name] = f"{texts[name]}, {value}" if name in texts else value
    return texts
