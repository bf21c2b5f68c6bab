"""Waiting for a server that is still loading, as a flow of probes, pauses and progress.

vLLM listens only when its model is loaded: until then, for 20 s to many minutes, connections are refused.
There is no "loading" answer to ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import openai

from vllm_connect.discovery.ask import Ask, Reply
from vllm_connect.errors import ServerUnreachable

__all__ = ["Pause", "Progress", "Ready", "Waiting", "probe_readiness"]

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
JITTER = 0.5
# A gateway answers these while the server behind it is still away.
NOT_YET = frozenset({502, 503, 504})
NOT_MENDED_BY_TIME = ("certificate", "TLS failed")
UNKNOWN_NAME = "host name"


@dataclass(frozen=True)
class Waiting:
    """A probe found the server not ready: seconds since the start, and what it answered."""

    elapsed: float
    answer: str


@dataclass(frozen=True)
class Ready:
    """The server is ready: seconds since the start."""

    elapsed: float


Progress = Waiting | Ready


@dataclass(frozen=True)
class Pause:
    """The flow wants this many seconds to pass."""

    seconds: float


def probe_readiness(
    timeout: float,
    clock: Callable[[], float],
    chance: Callable[[], float],
    report: Callable[[Progress], None],
    *,
    may_get_name: bool = False,
) -> Generator[Ask | Pause, Reply, str | None]:
    """Probe until the server is ready; return None, or its last answer when the time ran out.

    Ready means that `/health` answers and that the models are listed, so that a wrong key or address shows
    here. Pauses grow from 0.25 to 5 s, each cut by up to half at random, so that many clients do not probe
    as one. An answer that time will not mend (a wrong key) ends the flow as the error it is. `may_get_name`: its host
    name is known only once it is ready, as that of a headless service in Kubernetes.
    """
    started = clock()
    pause = FIRST_PAUSE
    lasting = NOT_MENDED_BY_TIME if may_get_name else (*NOT_MENDED_BY_TIME, UNKNOWN_NAME)
    while True:
        answer = yield from _probe(timeout - (clock() - started), lasting)
        elapsed = clock() - started
        if answer is None:
            report(Ready(elapsed))
            return None
        left = timeout - elapsed
        if left <= 0:
            return answer
        report(Waiting(elapsed, answer))
        yield Pause(min(pause * (1 - JITTER * chance()), left))
        pause = min(pause * 2, LONGEST_PAUSE)


def _probe(seconds: float, lasting: Sequence[str]) -> Generator[Ask, Reply, str | None]:
    """Return what keeps the server from being ready, None for nothing."""
    health = yield Ask("/health", own_route=True, raises=False, seconds=seconds)
    if _not_yet(health, lasting):
        return _shown(health)
    if isinstance(health.error, ServerUnreachable):
        raise health.error
    models = yield Ask("/models", raises=False, seconds=seconds)
    if _not_yet(models, lasting):
        return _shown(models)
    if models.error is not None:
        raise models.error
    return None


def _not_yet(reply: Reply, lasting: Sequence[str]) -> bool:
    """Whether time may mend this answer; a gateway that hides `/health` (404) leaves it to the models.

    `lasting`: marks of the reasons that stay.
    """
    if isinstance(reply.error, openai.APITimeoutError):
        return True
    if isinstance(reply.error, ServerUnreachable):
        return not any(mark in reply.error.reason for mark in lasting)
    return reply.status in NOT_YET


def _shown(reply: Reply) -> str:
    if isinstance(reply.error, ServerUnreachable):
        return reply.error.reason
    if isinstance(reply.error, openai.APITimeoutError):
        return "no answer"
    return f"HTTP status {reply.status}"
