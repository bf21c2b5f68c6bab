"""What can go wrong on the wire, as plain exceptions; dispatch makes the caller's errors of them.

They know nothing of requests, servers' names or the SDK: only what happened to the bytes.
"""

from __future__ import annotations

from vllm_connect.errors import Timer

__all__ = [
    "AnswerCut",
    "AnswerMalformed",
    "AnswerTooLarge",
    "ConnectFailed",
    "ConnectionLost",
    "NoPlace",
    "PeerRefused",
    "ServerGone",
    "TimerExpired",
    "WireFailure",
]


class WireFailure(Exception):
    """Any of the below."""


class TimerExpired(WireFailure):
    """A timer of the call ran out; `timer` is its name in Timeouts."""

    def __init__(self, timer: Timer) -> None:
        super().__init__(timer)
        self.timer = timer


class ConnectFailed(WireFailure):
    """No connection came about; the cause is what opening it raised."""


class PeerRefused(WireFailure):
    """The address connected to is not one that this client's key may be sent to in clear."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class NoPlace(WireFailure):
    """No connection became free in time: a limit of our own, never the server's fault."""


class ConnectionLost(WireFailure):
    """The connection ended before the first byte of an answer."""


class ServerGone(WireFailure):
    """The server went silent and was then found gone; the text says what a question on the side has met."""


class AnswerCut(WireFailure):
    """The connection ended, or the stream did, before the answer was complete."""


class AnswerMalformed(WireFailure):
    """What came is not HTTP, or not what HTTP allows here; the text says what."""


class AnswerTooLarge(WireFailure):
    """A limit of Limits was reached; `limit` is its name there."""

    def __init__(self, limit: str, most: int) -> None:
        super().__init__(f"{limit} {most}")
        self.limit = limit
        self.most = most
