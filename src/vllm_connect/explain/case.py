"""What is known of a failure when it is explained, and the words that rules take of it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from vllm_connect.endpoint import Endpoint, Tls
from vllm_connect.explain.words import status_text
from vllm_connect.facts import MISSING_API, ROUTES, Route, ServedModel, Service
from vllm_connect.facts.names import listed, named
from vllm_connect.settings import Settings
from vllm_connect.wire.proxy import Proxy

__all__ = ["Case", "Kind"]

Kind = Literal[
    "unreachable",  # no connection, or it was lost before an answer began
    "malformed",  # what came is not HTTP, or breaks its rules
    "cut",  # the answer began and did not end right
    "too large",  # the answer passed one of the Limits
    "timer",  # one of the timers ran out
    "not ready",  # the server did not become ready in the time given
    "key",  # a key was not sent
    "redirect",  # the answer is a redirect
    "shape",  # the answer succeeds, and is no answer
    "within",  # an error came in the place of an answer, or of a part of it
    "engine dead",  # the server says on its side that its engine is dead
    "asleep",  # the server says on its side that its engine sleeps
    "status",  # the answer is an error by its status
    "other",  # none of these: an error of the SDK's own
]

# A request with pictures is large, and none of its parameters is worth parsing it for.
LONGEST_PARSED = 1024 * 1024
_BY_PATH: Mapping[str, Route] = {route.path: route for route in ROUTES}
# What a server does, in words, by the services that only such a server has.
_DOINGS: tuple[tuple[Service, str], ...] = (
    ("chat", "generates text"),
    ("transcriptions", "transcribes speech"),
    ("embeddings", "embeds"),
    ("classify", "classifies"),
    ("score", "scores"),
)
_PLURAL = frozenset({"completions", "responses", "messages", "embeddings", "transcriptions", "translations"})
# What a server without the route of a service does not do.
_NOT_DOING: Mapping[Service | None, str] = {
    "chat": "generates no text",
    "completions": "generates no text",
    "responses": "generates no text",
    "messages": "generates no text",
    "transcriptions": "transcribes no speech",
    "translations": "translates no speech",
    "embeddings": "does not embed",
    "classify": "does not classify",
    "score": "does not score",
    "rerank": "does not score",
    "pooling": "has no pooling model",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is known of one failure.

    `happened` is the error's own sentence about it, `reason` the plain cause of what broke. `body` is what an error
    answer said, `request` the bytes of what was asked, `came` the characters of an answer that broke off. `models` and `serves` are what the server was found to serve,
    None where it was not asked; `own_key` says that the Authorization was the caller's own; `proxy` is the one between.
    `api_at` is the address of the API, for whoever has looked for it: empty where nobody has, None where it is nowhere.
    """

    kind: Kind
    settings: Settings
    happened: str = ""
    reason: str = ""
    timer: str = ""
    limit: str = ""
    status: int | None = None
    body: object = None
    content_type: str = ""
    path: str = ""
    request: bytes = b""
    target: str = ""
    came: int | None = None
    own_key: bool = False
    models: tuple[ServedModel, ...] | None = None
    serves: frozenset[Service] | None = None
    proxy: Proxy | None = None
    api_at: str | None = ""

    # -- the server and its settings

    @property
    def endpoint(self) -> Endpoint:
        return self.settings.endpoint

    @property
    def server(self) -> str:
        return str(self.endpoint)

    @property
    def place(self) -> str:
        return self.endpoint.place

    @property
    def host(self) -> str:
        return self.endpoint.host

    @property
    def port(self) -> int:
        return self.endpoint.port

    @property
    def socket(self) -> str | None:
        return self.endpoint.socket

    @property
    def other_scheme(self) -> str:
        """The same address with https in the place of http, or the reverse."""
        scheme: Literal["http", "https"] = "https" if self.endpoint.scheme == "http" else "http"
        return str(replace(self.endpoint, scheme=scheme))

    @property
    def has_v1(self) -> bool:
        return "/v1/" in f"{self.base_path}/"

    @property
    def base_path(self) -> str:
        return self.endpoint.path

    @property
    def better_address(self) -> str:
        """The address under which the API is, as it was found, else as far as it can be told by the one that was set."""
        return self.api_at or str(replace(self.endpoint, path=_better_path(self.base_path)))

    @property
    def address_from(self) -> str:
        """A sentence on where the address was set."""
        origin = self.settings.origins.get("base_url", "argument")
        known = {
            "argument": "The address was given by argument.",
            "default": "The address is the default; set VLLM_BASE_URL, or pass base_url.",
        }
        return known.get(origin, f"The address is from {origin}.")

    @property
    def tls(self) -> Tls:
        return self.settings.tls or Tls()

    @property
    def ca(self) -> str | None:
        return self.tls.ca

    # -- the key

    @property
    def has_key(self) -> bool:
        return self.settings.key is not None

    @property
    def key_from(self) -> str:
        key = self.settings.key
        return "" if key is None else self.settings.origins.get("api_key", key.place)

    @property
    def withheld(self) -> str:
        """Which keys were found and not sent, and why."""
        return "; ".join(f"{one.place} was not sent: {one.why}" for one in self.settings.withheld)

    # -- what was asked

    @cached_property
    def asked(self) -> Mapping[str, Any]:
        """The parameters of the request, as far as they can be read."""
        if len(self.request) > LONGEST_PARSED:
            return {}
        try:
            asked = json.loads(self.request)
        except (ValueError, RecursionError):
            return {}
        return asked if isinstance(asked, dict) else {}

    @property
    def model(self) -> str:
        model = self.asked.get("model")
        return named(model) if isinstance(model, str) else ""

    @property
    def model_from(self) -> str:
        """Where the name of the model was set, behind the name; nothing where a call or an argument gave it."""
        alias = next(
            (alias for alias, real in self.settings.model_aliases.items() if real == self.model), None
        )
        if alias is not None:
            return f", for which the alias `{alias}` stands"
        origin = self.settings.origins.get("model", "argument")
        return f" (from {origin})" if self.model == self.settings.model and origin != "argument" else ""

    @property
    def route(self) -> str:
        """The path as vLLM knows it: below the server's root."""
        return self.path.removeprefix(self.endpoint.path.removesuffix("/v1"))

    @property
    def known_route(self) -> Route | None:
        return _BY_PATH.get(self.route)

    @property
    def is_of_api(self) -> bool:
        """Whether it would be a route of vLLM's below its own base path."""
        return f"/v1{self.path.removeprefix(self.base_path)}" in _BY_PATH

    @property
    def service_needs(self) -> str:
        """The kind of request and its verb."""
        route = self.known_route
        service = self.route if route is None or route.service is None else route.service
        return f"{service} need" if service in _PLURAL else f"{service} needs"

    @property
    def kind_needed(self) -> str:
        route = self.known_route
        return "" if route is None or route.kind is None else route.kind

    @property
    def does_not(self) -> str:
        """What a server without this route does not do."""
        route = self.known_route
        return _NOT_DOING.get(route.service if route else None, f"does not have {self.route}")

    @property
    def brought_by(self) -> str:
        """Which option or kind of model brings the route."""
        return "" if self.known_route is None else self.known_route.brought_by

    @property
    def is_missing_api(self) -> bool:
        return self.route.startswith(MISSING_API)

    # -- what was answered

    @cached_property
    def said(self) -> str:
        """The server's own words."""
        return status_text(self.body)

    @property
    def page(self) -> str:
        """A body that is no JSON, as a gateway's page."""
        return self.body if isinstance(self.body, str) else ""

    @property
    def is_handlers(self) -> bool:
        """Whether the answer is of a route that is there: vLLM's own words, not those of the framework or a gateway."""
        return isinstance(self.body, dict) and ("error" in self.body or "message" in self.body)

    @property
    def is_frameworks(self) -> bool:
        """Whether the answer is FastAPI's, as vLLM's is where it has no such route."""
        return isinstance(self.body, dict) and "detail" in self.body

    @property
    def is_html(self) -> bool:
        return "html" in self.content_type or self.page.lstrip()[:1] == "<"

    @property
    def media_type(self) -> str:
        return named(self.content_type.partition(";")[0]) or "no content type"

    @property
    def param(self) -> str:
        """The parameter that an error is about, as vLLM names it."""
        error = self.body.get("error", self.body) if isinstance(self.body, dict) else None
        param = error.get("param") if isinstance(error, dict) else None
        return named(param).removeprefix("body.") if isinstance(param, str) else ""

    @property
    def redirected_to(self) -> str:
        """The address that a redirect points to, without what the request has behind its base path."""
        address = self.target.removesuffix(self.path.removeprefix(self.base_path))
        return f"{self.endpoint.origin}{address}" if address.startswith("/") else address

    @property
    def why_cut(self) -> str:
        """Where to look for why an answer broke off, where the server does not say it."""
        return (
            ""
            if self.said
            else "Why it broke off stands in the log of the server, or of a gateway before it."
        )

    # -- what the server serves

    @property
    def does(self) -> str:
        """What the server does, empty where it was not asked."""
        doings = [doing for service, doing in _DOINGS if service in (self.serves or ())]
        return " and ".join(doings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the server accepts, as far as it told them: in this very error (0.32), or in its list before.

        The list may be an old one: what was just refused is not served by now.
        """
        listed = [model for model in self.models or () if model.id != self.model]
        told = re.search(r"Valid aliases: (.+)\.$", self.said)
        if told:
            adapters = (model.id for model in listed if model.parent is not None)
            return (*told[1].split(", "), *adapters)
        return tuple(model.id for model in listed)

    @property
    def served(self) -> str:
        return listed(self.names)

    @property
    def has_adapters(self) -> bool:
        return any(model.parent is not None for model in self.models or () if model.id != self.model)

    @property
    def nearest(self) -> str:
        """The served names that are like the one that was asked for, or all where none is."""
        return listed(tuple(_alike(self.model, self.names)) or self.names)

    @property
    def best(self) -> str:
        """The served name that is most like the one that was asked for."""
        return self.nearest.partition(", ")[0]

    @property
    def room(self) -> str:
        """How many tokens of answer fit, where a refusal of prompt and answer together tells it in tokens."""
        found = re.search(r"context length is (\d+) tokens.*?contains (\d+) input tokens", self.said)
        fits = int(found[1]) - int(found[2]) if found else 0
        return f"={fits} fits" if fits > 0 else ""

    @property
    def variable(self) -> str:
        """Where the proxy's address is from."""
        return "" if self.proxy is None else self.proxy.variable


def _better_path(path: str) -> str:
    """Return where the API is likelier than at this path: where its /v1 is, else in the place of what is like a /v1."""
    before, mark, behind = f"{path}/".partition("/v1/")
    if mark:
        return f"{before}/v1" if behind else "/v1"
    kept, _, last = path.rpartition("/")
    return f"{kept}/v1" if re.fullmatch(r"v\d.*", last) else f"{path}/v1"


def _alike(name: str, names: tuple[str, ...]) -> list[str]:
    """Return the names that are like one, best first; a path or an owner before a name is not looked at."""
    last = {other.rpartition("/")[2].lower(): other for other in reversed(names)}
    return [last[near] for near in difflib.get_close_matches(name.rpartition("/")[2].lower(), last, n=3)]
