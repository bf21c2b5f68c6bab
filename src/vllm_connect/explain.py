"""What to do about an error, in one sentence or two: pure tables over the error and the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import openai

from vllm_connect.errors import DeadlineExceeded, ServerUnreachable
from vllm_connect.facts import MISSING_API, ROUTES
from vllm_connect.settings import Settings

__all__ = ["Told", "advice", "printable", "shape_told", "status_text", "status_told"]

LONGEST_SERVER_TEXT = 500
LONGEST_CONTENT_TYPE = 50


class Told(NamedTuple):
    """What happened, to which server, and what to do; the latter is empty where nothing is known."""

    explanation: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.explanation} {self.fix}".strip()


def advice(error: openai.OpenAIError, settings: Settings) -> str:
    """Return what to do about an error of the way to the server, empty where its message says all."""
    if isinstance(error, DeadlineExceeded):
        return _TIMER_ADVICE[error.timer]
    if isinstance(error, ServerUnreachable):
        for mark, sentence in _REACH_ADVICE:
            if mark in error.reason:
                return sentence(settings)
    return ""


_TIMER_ADVICE = {
    "connect": "Is the host up, and the port not blocked? The timer is timeouts.connect.",
    "first_token": "It may be busy or the prompt long; the timer is timeouts.first_token.",
    "between_tokens": "The timer is timeouts.between_tokens.",
    "total": "For longer answers raise timeouts.total (or timeout=), or stream the answer.",
}


def _address_from(settings: Settings) -> str:
    origin = settings.origins.get("base_url", "argument")
    named = {
        "argument": "The address was given by argument.",
        "default": "The address is the default; set VLLM_BASE_URL, or pass base_url.",
    }
    return named.get(origin, f"The address is from {origin}.")


def _other_protocol(settings: Settings) -> str:
    if settings.endpoint.scheme == "http":
        return "The server went away, or it speaks TLS there; then write https:// in place of http://."
    return "The server went away, or it wants a client certificate: tls=Tls(client_cert='client.pem')."


_REACH_ADVICE: tuple[tuple[str, Callable[[Settings], str]], ...] = (
    (
        "connection refused",
        lambda settings: (
            f"Nothing listens there: the server is not running, or still loading (wait with client.wait_until_ready() "
            f"or `vllm-connect wait {settings.endpoint}`). {_address_from(settings)}"
        ),
    ),
    ("host name is not known", lambda settings: f"Check its spelling. {_address_from(settings)}"),
    (
        "no such unix socket",
        lambda settings: (
            f"Was the server started with --uds {settings.endpoint.socket}? {_address_from(settings)}"
        ),
    ),
    (
        "certificate is not trusted",
        lambda _settings: "For a private authority give its certificate: tls=Tls(ca='ca.pem').",
    ),
    (
        "TLS failed",
        lambda settings: (
            f"The server may speak plain http there; then write http:// in place of https://. "
            f"{_address_from(settings)}"
        ),
    ),
    ("does not speak HTTP", _other_protocol),
    ("closed the connection without an answer", _other_protocol),
    (
        "Expected HTTP/",
        lambda settings: (
            "Something else listens there, or the server speaks TLS; then write https:// in place of http://."
            if settings.endpoint.scheme == "http"
            else f"Something else listens there. {_address_from(settings)}"
        ),
    ),
)


def status_text(body: object) -> str:
    """Return the server's own words, wherever its body holds them; bounded, without control characters.

    vLLM has three shapes: `{"error": {"message": ...}}`, `{"error": "..."}` and `{"detail": "..."}`.
    """
    text: Any = body
    if isinstance(body, dict):
        error = body.get("error", body)
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    if not isinstance(text, str) or text.lstrip()[:1] == "<":
        return ""
    return printable(text)[:LONGEST_SERVER_TEXT]


def printable(text: str) -> str:
    """Return a text without control characters: what a server says must not steer the terminal that shows it."""
    return "".join(character if character.isprintable() else " " for character in text)


def shape_told(path: str, content_type: str, settings: Settings, *, reason: str = "") -> Told:
    """Return what to say of an answer that is none of vLLM's, though its status says success."""
    kind = printable(content_type)[:LONGEST_CONTENT_TYPE] or "no content type"
    lacks = f", {reason}" if reason else ""
    return Told(
        f"{settings.endpoint.place} answered {path} with something that is not vLLM's ({kind}{lacks}).",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? "
        f"{_address_from(settings)}",
    )


def status_told(
    status: int, path: str, body: object, settings: Settings, *, own_key: bool = False
) -> Told | None:
    """Return what to say of an error status, None where the server's words say all.

    `own_key` says that the caller put an Authorization header of its own on the request.
    """
    if status == 401:  # noqa: PLR2004  # an HTTP status reads best as its number
        refused = f"{settings.endpoint.place} refused the Authorization header that your code gives."
        return Told(refused) if own_key else _key_told(settings)
    if status in _NO_ROUTE and not _is_handlers(body):
        return _route_told(status, path, body, settings)
    place, said = settings.endpoint.place, status_text(body)
    if _NO_SUPPORT.search(said):
        return Told(f"{place} does not serve {path}.", _brought_advice(path, settings))
    if status == 404 and "does not exist" in said:  # noqa: PLR2004
        return Told(
            f"{place} does not serve the model that was named.",
            "client.models.list() shows the names that this server accepts.",
        )
    return None


# What a server says that lets no request through to a route; vLLM itself bars in words of its own.
_NO_ROUTE = {403: "bars", 404: "has no route", 405: "does not take this request at"}
# A route that is there although the model cannot answer it: all were, before they followed the model's tasks.
_NO_SUPPORT = re.compile(r"does not support .* API$")
_BROUGHT_BY = {route.path: route.brought_by for route in ROUTES}


def _is_handlers(body: object) -> bool:
    """Whether the answer is of a route that is there: vLLM's own words, not those of the framework or a gateway."""
    return isinstance(body, dict) and ("error" in body or "message" in body)


def _key_told(settings: Settings) -> Told:
    server = settings.endpoint.place
    if settings.key is not None:
        return Told(
            f"{server} refused the API key from {settings.origins.get('api_key', settings.key.place)}."
        )
    withheld = "; ".join(f"{one.place} was not sent: {one.why}" for one in settings.withheld)
    return Told(
        f"{server} wants an API key and none was sent{f' ({withheld})' if withheld else ''}.",
        "Set VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key.",
    )


def _route_told(status: int, path: str, body: object, settings: Settings) -> Told:
    endpoint = settings.endpoint
    route = _route(path, settings)
    if "/v1" not in endpoint.path and route not in _BROUGHT_BY:
        return Told(
            f"{endpoint} has no route {path}: is the base path missing its /v1?", _address_from(settings)
        )
    if route.startswith(MISSING_API):
        return Told(f"{endpoint.place} has no route {path}: vLLM does not have this part of the OpenAI API.")
    # FastAPI's words, which are vLLM's too.
    foreign = not (isinstance(body, dict) and "detail" in body)
    answer = "The answer is not vLLM's. " if foreign else ""
    return Told(f"{answer}{endpoint.place} {_NO_ROUTE[status]} {path}.", _brought_advice(path, settings))


def _brought_advice(path: str, settings: Settings) -> str:
    """Return which option or kind of model brings a route."""
    route = _route(path, settings)
    brought_by = _BROUGHT_BY.get(route)
    if brought_by is None:
        return "A vLLM server serves either text generation or embeddings, and some routes only with their option."
    return f"vLLM has {route} {brought_by}; a gateway before it must let it through."


def _route(path: str, settings: Settings) -> str:
    """Return a request's path as vLLM knows it: below the server's root."""
    return path.removeprefix(settings.endpoint.path.removesuffix("/v1"))
