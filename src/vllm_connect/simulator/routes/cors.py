"""What browsers are told of other origins: nothing is allowed, unless the server was started with origins."""

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from vllm_connect.simulator.exchange import Headers, RecordedRequest, Response, Routed, text_response
from vllm_connect.simulator.options import Options

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY")
_PREFLIGHT_VARY: Final = (
    b"vary",
    (
        b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers,"
        b" Access-Control-Request-Private-Network"
    ),
)
_VARY: Final = (b"vary", b"Origin")
_ANY: Final = (b"access-control-allow-origin", b"*")


def preflight(request: RecordedRequest, options: Options) -> Response | None:
    """Answer a browser that asks before it sends; None for every other request."""
    origin, method = request.header("origin"), request.header("access-control-request-method")
    if request.method != "OPTIONS" or origin is None or method is None:
        return None
    allowed = _allows(origin, options)
    named = request.header("access-control-request-headers")
    headers: Headers = (
        _PREFLIGHT_VARY,
        *((_ANY,) if _allows_all(options) else ()),
        (b"access-control-allow-methods", ", ".join(_METHODS).encode()),
        (b"access-control-max-age", b"600"),
        *(((b"access-control-allow-headers", named.encode("latin-1")),) if named is not None else ()),
        *((_explicit(origin),) if allowed and "*" not in options.allowed_origins else ()),
    )
    private = request.header("access-control-request-private-network") is not None
    wrong = [
        *(() if allowed else ("origin",)),
        *(() if method in _METHODS else ("method",)),
        *(("private-network",) if private else ()),
    ]
    text = f"Disallowed CORS {', '.join(wrong)}" if wrong else "OK"
    status = HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK
    return text_response(text.encode(), b"text/plain; charset=utf-8", status=status, headers=headers)


def marked(answer: Routed, request: RecordedRequest, options: Options) -> Routed:
    """An answer with what caches and browsers are to know."""
    origin = request.header("origin")
    told: Headers = ()
    if origin is not None and _allows_all(options):
        told = (_ANY,)
    elif origin is not None and _allows(origin, options):
        told = (_explicit(origin),)
    return replace(answer, headers=(*answer.headers, *told, _VARY))


def _allows_all(options: Options) -> bool:
    by_default = options.behaviour.allows_any_origin and not options.allowed_origins
    return by_default or "*" in options.allowed_origins


def _allows(origin: str, options: Options) -> bool:
    return _allows_all(options) or origin in options.allowed_origins


def _explicit(origin: str) -> tuple[bytes, bytes]:
    return b"access-control-allow-origin", origin.encode("latin-1")
