"""The clients that a trail may lead to, and what is called on them."""

from __future__ import annotations

import re
from typing import NamedTuple

from vllm_connect.facts.parameters import RequestKind

__all__ = ["ASYNC", "AZURE", "CLIENTS", "Endpoint", "Use", "endpoint_by_name", "endpoint_of", "uses"]

AZURE = {"openai.AzureOpenAI": "OpenAI", "openai.AsyncAzureOpenAI": "AsyncOpenAI"}
# Each class that makes a client, and the drop-in in its place.
CLIENTS = {
    "openai.OpenAI": "OpenAI",
    "openai.AsyncOpenAI": "AsyncOpenAI",
    **AZURE,
    "vllm_connect.OpenAI": "OpenAI",
    "vllm_connect.AsyncOpenAI": "AsyncOpenAI",
}
ASYNC = frozenset(name for name, ours in CLIENTS.items() if ours == "AsyncOpenAI")
USE = re.compile(r"(?P<maker>[\w.]+)\(\)\.(?P<path>.+)")


class Use(NamedTuple):
    """What is taken from a client: `maker` is its class, or `openai` for the module itself, `path` what was taken."""

    maker: str
    path: str


class Endpoint(NamedTuple):
    """A method that sends a request, and the kind of request it is."""

    kind: RequestKind
    method: str


METHODS = {
    "chat.completions.create": Endpoint("chat", "create"),
    "chat.completions.parse": Endpoint("chat", "parse"),
    "chat.completions.stream": Endpoint("chat", "stream"),
    "completions.create": Endpoint("completions", "create"),
    "embeddings.create": Endpoint("embeddings", "create"),
    "responses.create": Endpoint("responses", "create"),
    "responses.parse": Endpoint("responses", "parse"),
    "responses.stream": Endpoint("responses", "stream"),
}


def uses(trail: str) -> Use | None:
    """Return what a trail takes from a client, None where it leads to none."""
    if trail.startswith("openai.") and trail.removeprefix("openai.") in METHODS:
        return Use("openai", trail.removeprefix("openai."))
    found = USE.fullmatch(trail)
    return Use(found["maker"], found["path"]) if found and found["maker"] in CLIENTS else None


def endpoint_of(trail: str) -> Endpoint | None:
    """Return the request that a trail's call sends, None where it sends none of these."""
    use = uses(trail)
    return None if use is None else METHODS.get(use.path)


def endpoint_by_name(dotted: str) -> Endpoint | None:
    """Return the request that an expression looks like, by its last names alone."""
    for path, endpoint in METHODS.items():
        if dotted.endswith(f".{path}"):
            return endpoint
    return None
