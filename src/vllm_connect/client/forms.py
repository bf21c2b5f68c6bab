"""The request forms of the fast lane: what the SDK's own methods make of their arguments, asked of them once.

The order of a body's parameters differs between releases of the SDK. Each method is run once on a resource that
only records what it would post, so that our bodies are its bodies whatever the release.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import openai
from openai import _base_client as sdk  # private, the same in 2.25 and 3.x
from openai.resources import completions, embeddings, models
from openai.resources.chat import completions as chat_completions
from openai.types import CompletionCreateParams, EmbeddingCreateParams
from openai.types.chat import CompletionCreateParams as ChatCreateParams

from vllm_connect.client import replies
from vllm_connect.client.assembly import Route

__all__ = [
    "ASYNC_MODELS",
    "CHAT",
    "COMPLETIONS",
    "EMBEDDINGS",
    "MODELS",
    "Form",
    "Source",
    "form_of",
    "is_untouched",
]

# What `create()` takes beside the body's parameters.
OPTIONS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})


@dataclass(frozen=True, eq=False)
class Source:
    """Where a form comes from: the SDK's resources and their method, what must be given, the answers it has."""

    blocking: type
    asynchronous: type
    needed: str
    params_type: Any
    answer: replies.Form[Any]
    method: str = "create"
    # The ways through the SDK's client that its method takes.
    steps: tuple[str, str] = ("post", "request")
    chunk: replies.Form[Any] | None = None
    # Where the caller leaves out how numbers are encoded, the SDK chooses and decodes.
    own_encoding: replies.Form[Any] | None = None
    # The route by which a plain call can be carried as a stream.
    route: Route | None = None


CHAT = Source(
    chat_completions.Completions,
    chat_completions.AsyncCompletions,
    "messages",
    ChatCreateParams,
    replies.CHAT,
    chunk=replies.CHAT_CHUNK,
    route="chat",
)
COMPLETIONS = Source(
    completions.Completions,
    completions.AsyncCompletions,
    "prompt",
    CompletionCreateParams,
    replies.COMPLETION,
    chunk=replies.COMPLETION_CHUNK,
    route="completion",
)
EMBEDDINGS = Source(
    embeddings.Embeddings,
    embeddings.AsyncEmbeddings,
    "input",
    EmbeddingCreateParams,
    replies.EMBEDDINGS,
    own_encoding=replies.ENCODED_EMBEDDINGS,
)
MODELS, ASYNC_MODELS = (
    Source(
        models.Models,
        models.AsyncModels,
        "",
        None,
        page,
        method="list",
        steps=("get_api_list", "request"),
    )
    for page in (replies.MODELS, replies.ASYNC_MODELS)
)


@dataclass(frozen=True)
class Form:
    """One request form: its path, its body's parameters in order, the SDK's own options of the request."""

    method: str
    path: str
    order: Mapping[str, int]
    options: Mapping[str, Any]


class _Recorder:
    """Stands in for a resource of the SDK: keeps what would be posted."""

    def __init__(self) -> None:
        self.method = self.path = ""
        self.body: dict[str, Any] = {}
        self.options: dict[str, Any] = {}

    def _post(self, path: str, *, body: dict[str, Any], options: dict[str, Any], **_rest: Any) -> None:
        self.method, self.path, self.body, self.options = "post", path, body, options

    def _get_api_list(self, path: str, *, options: dict[str, Any], **_rest: Any) -> None:
        self.method, self.path, self.options = "get", path, options


@cache
def form_of(source: Source) -> Form | None:
    """Return a form, None where this release of the SDK does not tell it; the SDK's own path is always there."""
    method: Any = getattr(source.blocking, source.method)
    recorder = _Recorder()
    names = [name for name in inspect.signature(method).parameters if name not in {"self", *OPTIONS}]
    try:
        method(recorder, **dict.fromkeys(names))
    except Exception:  # noqa: BLE001 - whatever a future release does instead
        return None
    if set(recorder.body) != set(names):
        return None
    order = {name: at for at, name in enumerate(recorder.body)}
    # What reads the answer is ours.
    options = {name: value for name, value in recorder.options.items() if name != "post_parser"}
    return Form(recorder.method, recorder.path, order, options)


SDK = str(Path(openai.__file__).parent)
# By resource, the functions of the SDK that were seen untouched, so that a call only compares what it finds.
_untouched: dict[type, tuple[object, ...]] = {}


def is_untouched(source: Source, *, is_async: bool) -> bool:
    """Whether the SDK's methods on the way of a call are its own: tracers put functions of theirs in their place."""
    resource: Any = source.asynchronous if is_async else source.blocking
    client: Any = sdk.AsyncAPIClient if is_async else sdk.SyncAPIClient
    first, second = source.steps
    steps = (getattr(resource, source.method), getattr(client, first), getattr(client, second))
    seen = _untouched.get(resource, steps)
    # By identity: a tracer's wrapper (wrapt) is equal to what it wraps.
    if seen is not steps and seen[0] is steps[0] and seen[1] is steps[1] and seen[2] is steps[2]:
        return True
    if not all(map(_is_genuine, steps)):
        return False
    _untouched[resource] = steps
    return True


def _is_genuine(function: object) -> bool:
    return type(function) is types.FunctionType and function.__code__.co_filename.startswith(SDK)
