"""What vLLM tells in its answers beside the SDK's types, typed: each function takes the SDK's object, and a part of it.

The fields are there as attributes too, for who knows them; the SDK's types do not name them. A field that the server did
not send, or that is of another type than vLLM's, is None. Source: vLLM's OpenAI-compatible server, 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai.types import Completion, CompletionChoice, CreateEmbeddingResponse
    from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
    from openai.types.chat.chat_completion import Choice
    from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
    from openai.types.chat.chat_completion_chunk import ChoiceDelta

__all__ = [
    "cached_tokens",
    "kv_transfer_params",
    "metrics",
    "prompt_logprobs",
    "prompt_token_ids",
    "reasoning",
    "stop_reason",
    "token_ids",
]


def reasoning(told: ChatCompletionMessage | ChoiceDelta) -> str | None:
    """Return the reasoning of a message, or the next piece of it in a delta, whatever the release calls it."""
    found: str | None = _of_type(told, "reasoning", str) or _of_type(told, "reasoning_content", str)
    return found


def stop_reason(choice: Choice | ChunkChoice | CompletionChoice) -> int | str | None:
    """Return what stopped a choice: the stop string, or the id of the stop token; None for the end of the text."""
    found: int | str | None = _of_type(choice, "stop_reason", (int, str))
    return found


def token_ids(choice: Choice | ChunkChoice | CompletionChoice) -> list[int] | None:
    """Return the ids of the tokens of a choice, or of a chunk of it; asked for by `return_token_ids=True`."""
    return _ids(choice, "token_ids")


def prompt_token_ids(answer: ChatCompletion | ChatCompletionChunk | Completion) -> list[int] | None:
    """Return the ids of the prompt's tokens; of a stream the first chunk has them. Asked for by `return_token_ids=True`."""
    return next(filter(None, (_ids(one, "prompt_token_ids") for one in (answer, *answer.choices))), None)


def prompt_logprobs(
    answer: ChatCompletion | Completion,
) -> list[Mapping[str, Mapping[str, Any]] | None] | None:
    """Return for each token of the prompt its candidates by id, with `logprob`, `rank` and `decoded_token`.

    The first token has none. Asked for by `prompt_logprobs=N`; plain answers only.
    """
    found = (_of_type(one, "prompt_logprobs", list) for one in (answer, *answer.choices))
    return next(filter(None, found), None)


def metrics(answer: ChatCompletion | ChatCompletionChunk | Completion) -> Mapping[str, Any] | None:
    """Return the times of this request; vLLM tells them with `--enable-per-request-metrics`."""
    found: Mapping[str, Any] | None = _of_type(answer, "metrics", dict)
    return found


def kv_transfer_params(
    answer: ChatCompletion | ChatCompletionChunk | Completion,
) -> Mapping[str, Any] | None:
    """Return what the decoding server of a disaggregated pair needs to take over this request's KV cache."""
    found: Mapping[str, Any] | None = _of_type(answer, "kv_transfer_params", dict)
    return found


def cached_tokens(
    answer: ChatCompletion | ChatCompletionChunk | Completion | CreateEmbeddingResponse,
) -> int | None:
    """Return how many tokens of the prompt came from the prefix cache; told with `--enable-prompt-tokens-details`."""
    found: int | None = _of_type(getattr(answer.usage, "prompt_tokens_details", None), "cached_tokens", int)
    return found


def _of_type(holder: object, name: str, kind: type | tuple[type, ...]) -> Any:
    value = getattr(holder, name, None)
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _ids(holder: object, name: str) -> list[int] | None:
    found = _of_type(holder, name, list)
    return found if found is not None and all(type(one) is int for one in found) else None
