"""A server asked whether it can do what the code asks of it: by its own word, and by one small request for each doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import openai

from vllm_connect.facts import ServerFacts
from vllm_connect.migrate.capability import unmet
from vllm_connect.migrate.demands import REFUSED, SOME, finding, value_of
from vllm_connect.migrate.finding import Finding
from vllm_connect.migrate.usage import Usage

if TYPE_CHECKING:
    from vllm_connect.client import OpenAI

__all__ = ["looked_at"]

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
# The smallest requests of each kind.
SMALLEST: Mapping[str, Mapping[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 1},
    "/completions": {"prompt": "Hello", "max_tokens": 1},
    "/embeddings": {"input": "Hello"},
}
Body = Mapping[str, Any]


def _as_given(usage: Usage) -> Body | None:
    """Return a parameter as the code gives it, None where its value is not to be seen."""
    value = value_of(usage)
    return None if value == SOME or value is None else {usage.name: value}


def _tools(_usage: Usage) -> Body:
    return {"tools": [TOOL], "tool_choice": "auto"}


def _tool_choice(usage: Usage) -> Body | None:
    return {"tools": [TOOL], "tool_choice": "required"} if value_of(usage) == "required" else None


def _top_logprobs(usage: Usage) -> Body | None:
    given = _as_given(usage)
    return None if given is None else {**given, "logprobs": True}


def _budget(_usage: Usage) -> Body:
    return {"thinking_token_budget": 1}


# Parameters whose answer depends on how a server was started, or on its model, and what is asked to find out.
DOUBTFUL: Mapping[str, Mapping[str, Callable[[Usage], Body | None]]] = {
    "/chat/completions": {
        "tools": _tools,
        "tool_choice": _tool_choice,
        "top_logprobs": _top_logprobs,
        "prompt_logprobs": _as_given,
        "thinking_token_budget": _budget,
        "chat_template": _as_given,
        "media_io_kwargs": _as_given,
        "mm_processor_kwargs": _as_given,
        "structured_outputs": _as_given,
        "response_format": _as_given,
    },
    "/completions": {"logprobs": _as_given, "prompt_logprobs": _as_given},
    "/embeddings": {"dimensions": _as_given},
}


def looked_at(usages: Iterable[Usage], client: OpenAI, facts: ServerFacts) -> list[Finding]:
    """Return what a server cannot do of what the code asks; raises the error of one that does not answer."""
    usages = list(usages)
    found = list(unmet(usages, facts))
    if facts.models:
        found += _tried(usages, client, facts)
    return list(dict.fromkeys(found))


def _tried(usages: Iterable[Usage], client: OpenAI, facts: ServerFacts) -> Iterator[Finding]:
    """Try each doubt once, on the first model, and say it of all its places."""
    refused: dict[str, tuple[str, str] | None] = {}
    for usage in usages:
        question = DOUBTFUL.get(usage.of, {}).get(usage.name)
        asked = question(usage) if question is not None and usage.what == "parameter" else None
        if asked is None or _is_missing(usage.of, facts):
            continue
        name = f"{usage.of} {asked}"
        if name not in refused:
            body = {"model": facts.models[0].id, **SMALLEST[usage.of], **asked}
            refused[name] = _refusal(client, usage.of, body)
        said = refused[name]
        if said is not None:
            yield finding(usage, REFUSED, f"`{usage.name}`: {said[0]}", said[1])


def _is_missing(path: str, facts: ServerFacts) -> bool:
    kinds = {"/chat/completions": "chat", "/completions": "completions", "/embeddings": "embeddings"}
    return facts.serves is not None and kinds[path] not in facts.serves


def _refusal(client: OpenAI, path: str, body: Body) -> tuple[str, str] | None:
    """Return why a server refuses a request, and what to do; None where it does not."""
    try:
        client.post(path, cast_to=object, body=dict(body))
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        return getattr(error, "explanation", "") or str(error), getattr(error, "fix", "")
    return None
