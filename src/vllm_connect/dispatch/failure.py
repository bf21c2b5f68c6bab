"""What went wrong on the way, as one of our errors.

openai 2.x stands on httpx, 3.x on httpx2, and a caller may bring a client of either: their exceptions are
told by name, so that neither has to be imported.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import anyio

from vllm_connect.dispatch.call import Call, Limit
from vllm_connect.errors import (
    AnswerIncomplete,
    AnswerMalformed,
    AnswerTooLarge,
    DeadlineExceeded,
    KeyRefused,
    ServerUnreachable,
)
from vllm_connect.outcome import Attempt, Ending, judged
from vllm_connect.wire import failures as wire
from vllm_connect.wire.proxy import ProxyFailed

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "answer_cut",
    "deadline_exceeded",
    "failure",
    "is_transport_failure",
    "key_refused",
    "wire_failure",
]

Phase = Literal["connect", "answer"]
AttemptPhase = Literal["connect", "sent", "answer", "complete"]

HTTP_PACKAGES = ("httpx", "httpx2")
NOTHING_WAS_SENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
    }
)
NO_DESCRIPTOR = "this process has no free file descriptor"
REASONS_BY_NUMBER = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by the server",
    errno.EPIPE: "connection closed by the server",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENOENT: "no such unix socket",
    errno.EACCES: "no permission",
    errno.EMFILE: NO_DESCRIPTOR,
}
# What the same attempt may find gone a moment later.
MENDS_ITSELF = frozenset(
    {
        "connection refused",
        "connection reset by the server",
        "connection failed",
        "no route to host",
        "network unreachable",
    }
)
REASONS_BY_NAME = {
    "NoPlace": "all connections that `limits` allows are in use",
    "PoolTimeout": "no connection of this client's pool became free",
    "ProxyError": "the proxy refused",
    "RemoteProtocolError": "the server broke off or does not speak HTTP here",
    "DecodingError": "the answer's compression is broken",
    "ConnectError": "connection failed",
    "WriteError": "connection closed while sending",
    "ReadError": "connection broken while reading",
    "EndOfStream": "connection closed by the server",
}


def is_transport_failure(error: BaseException) -> bool:
    """Whether an exception is of the transport: httpx's own, or one that it lets through unmapped."""
    if isinstance(error, OSError | anyio.EndOfStream | wire.WireFailure) or _is_loop_closed(error):
        return True
    return any(
        kind.__module__.partition(".")[0] in HTTP_PACKAGES and kind.__name__ == "RequestError"
        for kind in type(error).__mro__
    )


def _is_loop_closed(error: BaseException) -> bool:
    """Whether a kept connection belonged to an event loop that is gone: one client, several `asyncio.run`."""
    return isinstance(error, RuntimeError) and "Event loop is closed" in str(error)


def failure(
    error: Exception,
    *,
    request: httpx2.Request,
    call: Call,
    limit: Limit,
    connect: Limit,
    before: BaseException | None,
) -> Exception:
    """Return our error for an exception of the SDK's transport, or of our wire below it.

    `limit` and `connect` are the ones that a timeout ran into; `before` is what the caller was handling when
    the call began, which is none of our business.
    """
    if isinstance(error, wire.WireFailure):
        return wire_failure(error, request=request, call=call, before=before)
    server, streamed = str(call.credentials.endpoint), call.streamed
    name = type(error).__name__
    nothing_sent = name in NOTHING_WAS_SENT or _is_loop_closed(error)
    phase: Phase = "connect" if nothing_sent else "answer"
    hide_locals(error, request, before)
    if name == "ConnectTimeout":
        return deadline_exceeded(request=request, server=server, limit=connect, streamed=streamed)
    if name in ("ReadTimeout", "WriteTimeout"):
        return deadline_exceeded(request=request, server=server, limit=limit, streamed=streamed)
    return _unreachable(error, phase, request=request, call=call)


def _unreachable(error: Exception, phase: Phase, *, request: httpx2.Request, call: Call) -> ServerUnreachable:
    server, tries = str(call.credentials.endpoint), call.tries
    reason = "connection failed" if _is_loop_closed(error) else _reason(error)
    replicas = len(call.replicas.members)
    places = f" at {replicas} replicas" if replicas > 1 and not call.is_pinned else ""
    again = f" after {tries} tries{places}" if tries > 1 else ""
    happened = f"No connection to {server}" if phase == "connect" else f"{server} did not answer"
    message = f"{happened}{again}: {reason}."
    unreachable = ServerUnreachable(
        message, request=request, server=server, phase=phase, reason=reason, attempts=tries
    )
    if reason == NO_DESCRIPTOR or isinstance(error, wire.NoPlace) or type(error).__name__ == "PoolTimeout":
        return judged(unreachable, Attempt(phase="connect", ending="held back"))
    if phase == "connect":
        return judged(
            unreachable, Attempt(phase="connect", ending="failed", mends_itself=reason in MENDS_ITSELF)
        )
    ending: Ending = "gone" if isinstance(error, wire.ServerGone) else "lost"
    return judged(unreachable, Attempt(phase="sent", ending=ending))


def wire_failure(
    error: Exception,
    *,
    request: httpx2.Request,
    call: Call,
    before: BaseException | None,
) -> Exception:
    """Return our error for an exception of the wire; `before` as in `failure`."""
    server = str(call.credentials.endpoint)
    hide_locals(error, request, before)
    if isinstance(error, wire.TimerExpired):
        limit = Limit(0.0, error.timer, getattr(call.timers, error.timer) or 0.0)
        return deadline_exceeded(request=request, server=server, limit=limit, streamed=call.streamed)
    if isinstance(error, wire.PeerRefused):
        return key_refused(error.address, request=request, origin=call.credentials.endpoint.origin)
    if isinstance(error, wire.AnswerTooLarge):
        explanation = f"The answer of {server} passed the limit `{error.limit}` of {error.most:,} and was not read further."
        too_large = AnswerTooLarge(
            explanation, request=request, server=server, limit=error.limit, most=error.most
        )
        return judged(too_large, Attempt(phase="answer", ending="too large"))
    if isinstance(error, wire.AnswerMalformed):
        malformed = AnswerMalformed(
            f"What {server} answered cannot be used: {error}.",
            request=request,
            server=server,
            phase="answer",
            reason=str(error),
            attempts=call.tries,
        )
        return judged(malformed, Attempt(phase="answer", ending="malformed"))
    unreachable = _unreachable(error, _wire_phase(error), request=request, call=call)
    return answer_cut(unreachable) if hasattr(error, "came") else unreachable


def answer_cut(error: Exception) -> Exception:
    """Return the error for a connection that was lost when its answer had begun; any other error as it is."""
    if type(error) is not ServerUnreachable or error.phase != "answer":
        return error
    again = f" after {error.attempts} tries" if error.attempts > 1 else ""
    incomplete = AnswerIncomplete(
        f"The answer of {error.server} is not complete{again}: {error.reason}.",
        request=error.request,
        server=error.server,
        reason=error.reason,
        attempts=error.attempts,
    )
    return judged(incomplete, Attempt(phase="answer", ending="lost"))


def _wire_phase(error: Exception) -> Phase:
    return "connect" if isinstance(error, wire.ConnectFailed | wire.NoPlace) else "answer"


def key_refused(address: str, *, request: httpx2.Request, origin: str) -> KeyRefused:
    """Return the error for a key that must not go to this address."""
    explanation = (
        f"The API key was not sent: {origin} is plain http to the public address {address}, where anyone on the way "
        "can read it."
    )
    refused = KeyRefused(explanation, request=request, server=origin)
    return judged(refused, Attempt(phase="connect", ending="held back"))


def deadline_exceeded(
    *, request: httpx2.Request, server: str, limit: Limit, streamed: bool
) -> DeadlineExceeded:
    """Return the error for a timer that ran out."""
    whole = "The call to" if not streamed else "The stream from"
    happened = {
        "connect": f"No connection to {server} came about within {limit.setting:g} s.",
        "first_token": f"{server} sent no first byte of its answer within {limit.setting:g} s.",
        "between_tokens": f"The stream from {server} stood still for {limit.setting:g} s.",
        "total": f"{whole} {server} was not complete within its total of {limit.setting:g} s.",
    }[limit.timer]
    exceeded = DeadlineExceeded(
        happened, request=request, server=server, timer=limit.timer, seconds=limit.setting
    )
    phase: AttemptPhase = "connect" if limit.timer == "connect" else "sent"
    return judged(exceeded, Attempt(phase=phase, ending="timer", timer=limit.timer))


def _reason(error: BaseException) -> str:
    """Return the plain cause: the deepest one that has a name, and before all others that it was a proxy."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, ProxyFailed):
            return str(cause)
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or cause}"
        if isinstance(cause, socket.gaierror):
            return "its host name is not known"
        if isinstance(cause, OSError) and cause.errno in REASONS_BY_NUMBER:
            return REASONS_BY_NUMBER[cause.errno]
        if isinstance(cause, wire.WireFailure) and str(cause):
            return str(cause)
    return _reason_by_text(error)


def _reason_by_text(error: BaseException) -> str:
    """Return the cause where only its text is left, as httpcore leaves those of TLS and of names."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not trusted: {text.partition('certificate verify failed: ')[2] or text}"
    if "Name or service not known" in text or "nodename nor servname" in text:
        return "its host name is not known"
    return REASONS_BY_NAME.get(type(error).__name__, text or type(error).__name__)


def _chain(error: BaseException | None, before: BaseException | None = None) -> Iterator[BaseException]:
    seen: set[int] = {id(before)}
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        waiting.extend((one.__context__, one.__cause__))


def hide_locals(error: BaseException, request: httpx2.Request, before: BaseException | None) -> None:
    """Take from an exception, and from all behind it, the frames and requests that hold the key.

    A traceback keeps the local variables of its frames, and reports with locals print them.
    """
    for one in _chain(error, before):
        one.__traceback__ = None
        if getattr(one, "_request", None) is not None:
            one.request = request  # type: ignore[attr-defined]  # httpx's exceptions have this setter
