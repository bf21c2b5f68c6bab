"""`vllm-connect info`: what a server is and how busy it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from vllm_connect.cli.options import Connection, Json, Timeout, connecting
from vllm_connect.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from vllm_connect.facts import ServerFacts

__all__ = ["info"]

T = TypeVar("T")
# Readings are an extra: a server that is too busy to give them is told about without them.
READING_SECONDS = 5.0


@connecting
def info(connection: Connection, timeout: Timeout = None, json: Json = False) -> None:
    """Show what a server is, and how busy it is.

    Version, models, kinds of request, whether it wants a key, load and metrics; what it, or a gateway before
    it, does not tell is shown as unknown.
    """
    with connection.client(timeout=timeout) as client:
        facts = client.server.info()
        quick = client.with_options(timeout=READING_SECONDS if timeout is None else timeout, max_retries=0)
        load = _reading(quick.server.load)
    if json:
        print_json(_document(facts, load))
    else:
        print_table(("", ""), _rows(facts, load))


def _reading(ask: Callable[[], T]) -> T | None:
    from openai import APIError  # noqa: PLC0415

    try:
        return ask()
    except APIError:
        return None


def _document(facts: ServerFacts, load: int | None) -> dict[str, Any]:
    return {
        "server": facts.url,
        "is_vllm": facts.is_vllm,
        "version": facts.version,
        "kind": facts.kind,
        "models": [dataclasses.asdict(model) for model in facts.models],
        "serves": None if facts.serves is None else sorted(facts.serves),
        "needs_key": facts.needs_key,
        "load": load,
    }


def _rows(facts: ServerFacts, load: int | None) -> Iterator[tuple[str, str]]:
    yield "server", facts.url
    yield "vLLM", facts.version or ("not a vLLM" if facts.is_vllm is False else "version unknown")
    yield "kind", facts.kind or "unknown"
    for model in facts.models:
        length = model.max_model_len
        context = "context unknown" if length is None else f"context {length}"
        adapter = "" if model.parent is None else f", adapter of {model.parent}"
        yield "model", f"{model.id} ({context}{adapter})"
    yield "serves", "unknown" if facts.serves is None else ", ".join(sorted(facts.serves))
    yield "API key", {True: "needed", False: "not needed", None: "unknown"}[facts.needs_key]
    yield "requests in flight", "unknown" if load is None else str(load)
