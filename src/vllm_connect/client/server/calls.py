"""vLLM's own routes as functions from arguments to questions; `Server` and `AsyncServer` ask them.

Parameters are named as vLLM names them; those that have none here go through `extra_body`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from openai import BaseModel

from vllm_connect.client.server.question import CallOptions, Question
from vllm_connect.client.server.results import Tokenization

if TYPE_CHECKING:
    import httpx2
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam

__all__ = ["detokenize", "health", "load", "tokenize", "version"]

M = TypeVar("M", bound=BaseModel)

SERVICE_UNAVAILABLE = 503


def version(**options: Unpack[CallOptions]) -> Question[str]:
    """Return the version of vLLM, such as "0.32.0"; behind a gateway it may be the gateway's.

    Route: `GET /version`. Raises what every call raises, NotFoundError where a gateway hides the route.
    """
    return Question("get", "/version", _field("version", str), options)


def health(**options: Unpack[CallOptions]) -> Question[bool]:
    """Return whether the engine lives: True for status 200, False for 503, which is not tried again.

    It says nothing of load, and stays True while the engine sleeps. A server that is still loading does not
    listen yet: ServerUnreachable. Route: `GET /health`.
    """
    return Question(
        "get",
        "/health",
        lambda _response: True,
        options,
        statuses={SERVICE_UNAVAILABLE: False},
        tries_again=False,
    )


def load(**options: Unpack[CallOptions]) -> Question[int]:
    """Return the number of requests in flight, of the one API process that answers.

    It is always 0 unless vLLM was started with `--enable-server-load-tracking`. Route: `GET /load`.
    """
    return Question("get", "/load", _field("server_load", int), options)


def tokenize(
    prompt: str | None = None,
    *,
    messages: Iterable[ChatCompletionMessageParam] | None = None,
    model: str | None = None,
    tools: Iterable[ChatCompletionToolUnionParam] | None = None,
    add_special_tokens: bool | None = None,
    add_generation_prompt: bool | None = None,
    return_token_strs: bool | None = None,
    **options: Unpack[CallOptions],
) -> Question[Tokenization]:
    """Return the tokens of a prompt, or of a conversation as the chat template writes it.

    Give `prompt` or `messages`; with `messages` go `tools` and `add_generation_prompt` (vLLM's default: True).
    `add_special_tokens` is True for a prompt and False for a conversation, whose template writes its own.
    `return_token_strs` fills `token_strs`. Route: `POST /tokenize`. Raises TypeError for both or neither, and
    NotFoundError for a model that is not served.
    """
    if (prompt is None) == (messages is None):
        raise TypeError("Give a prompt, or messages=[...], and not both.")
    body = {
        "model": model,
        "prompt": prompt,
        "messages": None if messages is None else list(messages),
        "tools": None if tools is None else list(tools),
        "add_special_tokens": add_special_tokens,
        "add_generation_prompt": add_generation_prompt,
        "return_token_strs": return_token_strs,
    }
    return Question("post", "/tokenize", _model(Tokenization), options, body=_given(body))


def detokenize(
    tokens: Sequence[int], *, model: str | None = None, **options: Unpack[CallOptions]
) -> Question[str]:
    """Return the text of token ids, special tokens included.

    Route: `POST /detokenize`. Raises BadRequestError for an id that the model does not have.
    """
    body = {"model": model, "tokens": list(tokens)}
    return Question("post", "/detokenize", _field("prompt", str), options, body=_given(body))


def _given(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}


def _model(kind: type[M]) -> Callable[[httpx2.Response], M]:
    return lambda response: kind.model_validate(response.json())


F = TypeVar("F", str, int, bool)


def _field(name: str, kind: type[F]) -> Callable[[httpx2.Response], F]:
    """Return a reader of one field; raises ValueError where it is missing or of another kind."""

    def read(response: httpx2.Response) -> F:
        body: Any = response.json()
        value = body.get(name) if isinstance(body, dict) else None
        if type(value) is not kind:
            raise ValueError(name)
        return value

    return read
