"""Whether a server that is silent still lives: when it is asked on the side, and what its answer means; no I/O.

A plain call shows no byte before its end, and a vLLM that was stopped may leave its requests hanging: only a new
connection can tell. What it tells holds for a server that is reached directly. A gateway that drains refuses new
connections and finishes what is under way.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal

__all__ = ["PATIENCE", "Finding", "Pulse", "dies", "is_of_vllm"]

# Seconds of silence after which a server is asked, between two questions, and that an answer may take.
PATIENCE: Final = 5.0
# Clients that a server left at one moment do not all come back at one moment.
JITTER: Final = 0.1
# The share of that silence from which on an exchange counts as left: tokens that flow are no silence.
LEFT: Final = 0.2
# A thread that waits while another one's question is under way looks for its answer this often.
GLANCE: Final = 0.1

# What a question met: an answer; nobody who listens; vLLM's word that its engine is dead; no answer in its time;
# or a trouble of our own, which says nothing.
Finding = Literal["alive", "refused", "dead", "unanswered", "nothing"]

GONE: dict[Finding, str] = {
    "refused": "it went silent, and now refuses new connections",
    "dead": "it went silent, and its /health answers 503: its engine is dead",
    "unanswered": "it went silent, and two questions to its /health were not answered",
}
ENGINE_DEAD = 503
# Headers that a gateway puts into what it passes on, one that is served by uvicorn too.
OF_GATEWAYS = (b"via", b"x-litellm-", b"x-envoy-", b"cf-ray", b"x-cache", b"x-amz-cf-")


class Pulse:
    """What one wire knows of its server's life, for all its exchanges, threads and loops.

    `patience` is in seconds. `has_alternative` tells whether another server could do the work: without one, a
    server that does not answer is waited for.
    """

    def __init__(
        self,
        patience: float = PATIENCE,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.has_alternative: Callable[[], bool] = lambda: False
        self._interval = patience
        self._chance = chance
        self._is_direct = True
        # Whether no answer has told yet if the server is reached directly; an attribute, as every answer asks.
        self.is_unknown = True
        self._lock = threading.Lock()
        self._asked_at = self._next_at = self._under_way_until = -math.inf
        self._unanswered_at: float | None = None
        self.gone_before = -math.inf
        self.gone = ""

    @property
    def patience(self) -> float:
        """Seconds of silence after which the server is asked; behind a gateway it never is."""
        return self._interval if self._is_direct else math.inf

    @property
    def within(self) -> float:
        """Seconds that an answer may take."""
        return self._interval

    def learn(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take from the head of an answer whether the server is reached directly."""
        self._is_direct = is_of_vllm(headers)
        self.is_unknown = False

    def ask(self, silent_since: float, now: float) -> bool:
        """Whether the server is to be asked now; then `tell` follows with this moment. One question at a time."""
        if now < silent_since + self.patience:
            return False
        with self._lock:
            if now < max(self._next_at, self._under_way_until):
                return False
            self._asked_at = now
            self._next_at = now + self._interval * (1 + JITTER * self._chance())
            # A question whose loop has ended, or whose resolver hangs, is not waited for without end.
            self._under_way_until = now + 2 * self._interval
            return True

    def tell(self, asked_at: float, finding: Finding) -> None:
        """Take note of what the question of this moment met."""
        if asked_at != self._asked_at:
            return
        left_at: float | None = asked_at
        if finding == "unanswered":
            left_at, self._unanswered_at = self._unanswered_at, asked_at
        else:
            self._unanswered_at = None
        if finding in GONE and left_at is not None and self._is_believed(finding):
            self.gone = GONE[finding]
            self.gone_before = left_at - LEFT * self._interval
        # Last: who finds nothing under way must find what was met.
        self._under_way_until = -math.inf

    def _is_believed(self, finding: Finding) -> bool:
        is_known_direct = self._is_direct and not self.is_unknown
        return is_known_direct and (finding != "unanswered" or self.has_alternative())

    def next_look(self, silent_since: float, now: float) -> float:
        """The moment at which an exchange that stays silent has to look again."""
        if now < self._under_way_until:
            return now + GLANCE
        return max(silent_since + self.patience, self._next_at)

    def forget(self) -> None:
        """Leave a question that is under way to the process that this one was forked from."""
        self._lock = threading.Lock()
        self._under_way_until = -math.inf


def is_of_vllm(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether an answer comes from vLLM's own server, uvicorn, and has passed no gateway."""
    servers = []
    for name, value in headers:
        lowered = name.lower()
        if lowered.startswith(OF_GATEWAYS):
            return False
        if lowered == b"server":
            servers.append(value)
    # A gateway that runs on uvicorn itself puts its own name before the one that it passes on.
    return servers == [b"uvicorn"]


def dies(status: int, fields: dict[bytes, bytes]) -> bool:
    """Whether an answer of `/health` says that the engine is dead; one with a body is busy with other things."""
    return status == ENGINE_DEAD and fields.get(b"content-length") == b"0"
