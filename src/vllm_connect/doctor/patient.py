"""One server under examination: its set-up, a client for it, and what was found out so far, each asked once."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import openai

from vllm_connect.wire.opening import open_socket
from vllm_connect.wire.proxy import with_system_proxies
from vllm_connect.wire.route import Route, route_to

if TYPE_CHECKING:
    from vllm_connect.client import OpenAI
    from vllm_connect.endpoint import Endpoint
    from vllm_connect.explain.case import Case, Kind
    from vllm_connect.facts import ServerFacts
    from vllm_connect.settings import Settings

__all__ = ["CONNECT_SECONDS", "Patient", "Stream"]

CONNECT_SECONDS = 3.0
# A first answer is short: enough tokens to see that they come one by one.
TOKENS = 8
ASKED: Any = {
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": TOKENS,
    "temperature": 0,
}


@dataclass(frozen=True)
class Stream:
    """What one streamed chat was like; times in seconds from the request."""

    chunks: int
    first: float
    total: float
    finish_reason: str | None


@dataclass
class Patient:
    """A server that is looked at; `client` sends everything there, once, within seconds.

    `written` is the address as it was given, where that stands for several servers.
    """

    client: OpenAI
    clock: Callable[[], float] = time.monotonic
    # Which model calls name; found by a check.
    served_model: str = ""
    written: str = ""

    @property
    def settings(self) -> Settings:
        return self.client.settings

    @property
    def endpoint(self) -> Endpoint:
        return self.settings.endpoint

    @cached_property
    def route(self) -> Route:
        """The way there; raises SettingsError for a proxy that cannot be used."""
        wires = self.client._client.wires
        if wires is None:  # over the SDK's transport, which looks for a proxy in the same places
            return route_to(self.endpoint, self.settings.tls, with_system_proxies(os.environ, getproxies))
        route: Route = wires.route(self.endpoint)
        return route

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the host, or of the proxy before it; raises socket.gaierror."""
        answers = socket.getaddrinfo(*self.route.first_hop, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))

    def connect(self) -> float:
        """Connect without TLS, and return the seconds it took; raises OSError."""
        began = self.clock()
        if self.endpoint.socket is not None:
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(CONNECT_SECONDS)
                one.connect(self.endpoint.socket)
        else:
            socket.create_connection(self.route.first_hop, timeout=CONNECT_SECONDS).close()
        return self.clock() - began

    def open(self) -> socket.socket:
        """Return a connection as calls have it, TLS and tunnel included; raises OSError and SettingsError."""
        return open_socket(
            self.route, deadline=self.clock() + CONNECT_SECONDS, judge=lambda _address: None, clock=self.clock
        )

    @cached_property
    def _told(self) -> ServerFacts | openai.OpenAIError:
        """What the server says it is, or the error that came in its place: the first requests of all."""
        try:
            return self.client.server.info()
        except openai.OpenAIError as error:
            return error

    @property
    def first_error(self) -> openai.OpenAIError | None:
        """What came of the first request, where that was an error."""
        return self._told if isinstance(self._told, openai.OpenAIError) else None

    @property
    def facts(self) -> ServerFacts:
        """What the server is; raises the error that came in its place."""
        if isinstance(self._told, openai.OpenAIError):
            raise self._told
        return self._told

    def serves(self, service: str) -> bool | None:
        """Whether the server has the route of this kind of request; None where that is not known."""
        return None if self.facts.serves is None else service in self.facts.serves

    def case(self, kind: Kind, **known: Any) -> Case:
        """Return what is known of a failure that no call has met, for the rules that explain those of calls."""
        return self.client._case(kind, str(self.endpoint), **known)

    def case_of(self, error: openai.APIStatusError) -> Case:
        """Return what is known of a status that a call has met."""
        known, _told = self.client._told_of_status(error.response, error.body)
        return known

    def refusal(self, model: str) -> openai.OpenAIError | None:
        """Return the error of a call that names a model, None where it is answered."""
        try:
            if self.serves("chat") is not False:
                self.chat(model=model, max_tokens=1)
            elif self.serves("embeddings"):
                self.client.embeddings.create(model=model, input="Say hello.")
            else:
                self.client.server.tokenize("Say hello.", model=model)
        except openai.OpenAIError as error:
            return error
        return None

    def chat(self, **more: Any) -> Any:
        """Return a short chat's answer."""
        return self.client.chat.completions.create(**{"model": self.served_model, **ASKED, **more})

    @cached_property
    def stream(self) -> Stream:
        """What a short streamed chat is like."""
        began = self.clock()
        chunks, first, finish = 0, None, None
        for chunk in self.chat(stream=True):
            chunks += 1
            for choice in chunk.choices:
                if first is None and _brings(choice.delta):
                    first = self.clock() - began
                finish = choice.finish_reason or finish
        total = self.clock() - began
        return Stream(chunks, total if first is None else first, total, finish)


def _brings(delta: object) -> bool:
    """Whether a delta, which a server may have put in any shape, brings more than a role."""
    return isinstance(delta, openai.BaseModel) and bool(delta.model_dump(exclude_none=True, exclude={"role"}))
