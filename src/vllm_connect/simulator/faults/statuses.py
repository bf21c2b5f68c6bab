"""Faults that are other answers: statuses, refusals, redirects, bodies of errors without end."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Final

from vllm_connect.simulator.exchange import Headers, Response, json_response, text_response
from vllm_connect.simulator.faults.edits import ESCAPES, pieces
from vllm_connect.simulator.faults.fault import Fault
from vllm_connect.simulator.requests.refusals import BUSY, UNAUTHORIZED, error_body, refuse
from vllm_connect.simulator.script import (
    LAST_CHUNK,
    Action,
    Close,
    Exchange,
    Outage,
    Pause,
    Script,
    Send,
    chunk,
    honest,
)

ENGINE_DEAD: Final = error_body(
    "EngineCore encountered an issue. See stack trace (above) for the root cause.", "InternalServerError", 500
)
_TOO_LONG: Final = error_body(
    "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 input tokens,"
    " which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
    " (parameter=input_tokens, value=5000)",
    "BadRequestError",
    400,
    "input_tokens",
)
_BAD_PARAMETER: Final = error_body(
    "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)",
    "BadRequestError",
    400,
    "temperature",
)
_UNPROCESSABLE: Final = {
    "detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {}}]
}
_NO_MODEL: Final = error_body("The model `gone` does not exist.", "NotFoundError", 404, "model")
_SCALING: Final = {"error": "The model is currently scaling. Please try again later."}


def error_page(title: str) -> bytes:
    """The page that nginx shows for an error of its own."""
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx/1.27.1</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


def answered(exchange: Exchange, answer: Response) -> Script:
    """Another answer, sent as it should be."""
    return honest(replace(exchange, answer=answer))


def _json(content: object, status: int, exchange: Exchange, headers: Headers = ()) -> Script:
    return answered(exchange, json_response(content, status=status, headers=headers))


def _refusal(content: object, status: int) -> partial[Script]:
    return partial(_json, content, status)


def _page(title: str, exchange: Exchange) -> Script:
    status = int(title.partition(" ")[0])
    return answered(exchange, text_response(error_page(title), b"text/html", status=status))


def _failed(exchange: Exchange) -> Script:
    text = text_response(b"Internal Server Error", b"text/plain; charset=utf-8", status=500)
    return answered(exchange, text)


def _busy(exchange: Exchange) -> Script:
    return answered(exchange, refuse(BUSY).answer)


def _status(exchange: Exchange, *, code: int = 409) -> Script:
    phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else f"Status {code}"
    return _json(error_body(phrase, phrase.replace(" ", ""), code), code, exchange)


def _too_many(exchange: Exchange, *values: str) -> Script:
    headers = tuple((b"retry-after", value.encode("latin-1", "replace")) for value in values)
    return _json(error_body("Too many requests", "RateLimitError", 429), 429, exchange, headers)


def _too_many_for(exchange: Exchange, *, retry_after: str = "1") -> Script:
    return _too_many(exchange, retry_after)


def _too_many_until(exchange: Exchange, *, seconds: float = 1.0) -> Script:
    return _too_many(exchange, formatdate(exchange.now + min(seconds, 1e9), usegmt=True))


def _too_many_huge(exchange: Exchange, *, retry_after: str = "99999") -> Script:
    return _too_many(exchange, retry_after)


def _too_many_wrong(exchange: Exchange, *, retry_after: str = "-1") -> Script:
    return _too_many(exchange, retry_after)


def _too_many_twice(exchange: Exchange) -> Script:
    return _too_many(exchange, "1", "7")


def _engine_dead(exchange: Exchange, *, refused_for: float = math.inf) -> Iterator[Action]:
    yield from _json(ENGINE_DEAD, 500, replace(exchange, keeps=False))
    yield Outage("refuse", refused_for, drop=True)
    yield Close()


def _redirect(exchange: Exchange, location: str, status: int) -> Script:
    headers = ((b"content-length", b"0"), (b"location", location.encode("latin-1", "replace")))
    return answered(exchange, Response(status, headers))


def _redirected(exchange: Exchange, *, status: int = 307, to: str = "http://other.invalid") -> Script:
    return _redirect(exchange, to.rstrip("/") + exchange.request.target, status)


def _redirected_here(exchange: Exchange, *, status: int = 307) -> Script:
    return _redirect(exchange, exchange.request.target, status)


def _huge_error(exchange: Exchange, *, status: int = 500, size: int = 50_000_000) -> Iterator[Action]:
    headers = ((b"content-length", b"%d" % size), (b"content-type", b"text/plain; charset=utf-8"))
    yield Send(exchange.head(status, headers))
    for piece in pieces(b"error ", size):
        yield Send(piece)


def _endless_error(
    exchange: Exchange, *, status: int = 500, size: int = 1 << 40, pause: float = 0.0
) -> Iterator[Action]:
    headers = ((b"content-type", b"text/plain; charset=utf-8"), (b"transfer-encoding", b"chunked"))
    yield Send(exchange.head(status, headers))
    for piece in pieces(b"error ", size):
        yield Send(chunk(piece))
        yield Pause(pause)
    yield Send(LAST_CHUNK)


def _escapes_in_header(exchange: Exchange) -> Script:
    answer = exchange.answer
    header = (b"x-request-id", b"\x1b[2J\x1b]0;owned\x07\r\x9b31m")
    return honest(replace(exchange, answer=replace(answer, headers=(*answer.headers, header))))


_RETRY_ELSEWHERE: Final = "another replica, or waits so long, jittered"
_OWN_BACKOFF: Final = "waits by its own backoff"


def _refusing(
    name: str, rows: tuple[int, ...], does: str, client: str, script: Callable[..., Script]
) -> Fault:
    return Fault(name, rows, "any", does, client, script, refuses=True)


ROWS: Final = (
    _refusing(
        "redirect",
        (21,),
        "`status` to the address `to`, with the request's own path",
        "refuses; not a byte leaves for another origin",
        _redirected,
    ),
    _refusing("redirect-loop", (22,), "`status` to the request's own path", "refuses", _redirected_here),
    _refusing("too-many-requests", (26,), "429 with this Retry-After", _RETRY_ELSEWHERE, _too_many_for),
    _refusing(
        "retry-after-date", (26,), "429 with a Retry-After that is a date", _RETRY_ELSEWHERE, _too_many_until
    ),
    _refusing(
        "retry-after-huge",
        (27,),
        "429 with a Retry-After of a day and more",
        "fails at once or takes another replica; shows the value",
        _too_many_huge,
    ),
    _refusing(
        "retry-after-wrong",
        (28,),
        "429 with a Retry-After that is none: negative, NaN, a word",
        _OWN_BACKOFF,
        _too_many_wrong,
    ),
    _refusing("retry-after-twice", (28,), "429 with two Retry-After headers", _OWN_BACKOFF, _too_many_twice),
    _refusing(
        "busy",
        (29, 30),
        "vLLM's 503 of a full queue",
        "another replica at once, and asks this one less; keeps retries a small share of the load",
        _busy,
    ),
    _refusing(
        "scaling",
        (29,),
        "vLLM's 503 while it scales, whose `error` is a string",
        "another replica at once",
        _refusal(_SCALING, 503),
    ),
    _refusing(
        "engine-dead",
        (31,),
        "vLLM's 500 of a dead engine, after which it is gone: connections end, new ones are refused",
        "takes it out at the first one",
        _engine_dead,
    ),
    _refusing("internal-error", (31,), "a bare 500 in plain text", "typed; a budgeted retry", _failed),
    _refusing(
        "bad-gateway",
        (32,),
        "a proxy's 502 in HTML",
        "typed, without HTML in its message",
        partial(_page, "502 Bad Gateway"),
    ),
    _refusing(
        "gateway-timeout",
        (32,),
        "a proxy's 504 in HTML",
        "typed; the outcome is unknown",
        partial(_page, "504 Gateway Time-out"),
    ),
    _refusing("too-long", (33,), "400: the prompt exceeds the context", "no retry", _refusal(_TOO_LONG, 400)),
    _refusing("bad-parameter", (33,), "400: a parameter's value", "no retry", _refusal(_BAD_PARAMETER, 400)),
    _refusing("unprocessable", (33,), "422 in FastAPI's shape", "no retry", _refusal(_UNPROCESSABLE, 422)),
    _refusing(
        "unauthorized",
        (34,),
        "401, whose `error` is a string",
        "says which variable the key came from; no retry",
        _refusal(UNAUTHORIZED, 401),
    ),
    _refusing(
        "no-such-model", (35,), "404 for the model", "lists the served names", _refusal(_NO_MODEL, 404)
    ),
    _refusing(
        "status",
        (36,),
        "an error with any `code`: 408, 409, 413, 431",
        "by its class; 409 is not retried",
        _status,
    ),
    _refusing("huge-error", (49,), "an error body of `size` bytes", "reads 64 KiB, then closes", _huge_error),
    _refusing(
        "endless-error",
        (49,),
        "an error body that goes on for `size` bytes, 64 KiB every `pause` seconds",
        "reads 64 KiB, then closes",
        _endless_error,
    ),
    _refusing(
        "escapes-in-error",
        (50,),
        "an error text with terminal escapes, CR and a right-to-left override",
        "cleans it before it shows it",
        _refusal(error_body(f"bad{ESCAPES}request", "BadRequestError", 400), 400),
    ),
    Fault(
        "escapes-in-header",
        (50,),
        "any",
        "a request id header with terminal escapes and CR",
        "cleans it before it shows it",
        _escapes_in_header,
    ),
)
