"""vLLM's own routes as functions from arguments to questions; `Server` and `AsyncServer` ask them.

Parameters are named as vLLM names them; those that have none here go through `extra_body`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

import openai
from openai import BaseModel

from vllm_connect.client.server.metrics import Metrics, read_metrics
from vllm_connect.client.server.question import CallOptions, Question
from vllm_connect.client.server.results import Classification, Pooling, Ranking, Scores, Tokenization

if TYPE_CHECKING:
    import httpx2
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam

__all__ = [
    "abort",
    "classify",
    "detokenize",
    "health",
    "is_sleeping",
    "load",
    "load_lora_adapter",
    "metrics",
    "pooling",
    "rerank",
    "score",
    "sleep",
    "tokenize",
    "unload_lora_adapter",
    "version",
    "wake_up",
]

M = TypeVar("M", bound=BaseModel)

# A text, or `{"content": [...]}` with parts as in a chat message, for models that read more than text.
Text = str | Mapping[str, object]
Texts = Text | Sequence[Text]
# One or several texts, each also as the ids of its tokens.
Prompts = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]

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
        _life,
        options,
        statuses={SERVICE_UNAVAILABLE: False},
        tries_again=False,
        is_of_one=True,
    )


def load(**options: Unpack[CallOptions]) -> Question[int]:
    """Return the number of requests in flight, of the one API process that answers.

    It is always 0 unless vLLM was started with `--enable-server-load-tracking`. Route: `GET /load`.
    """
    return Question("get", "/load", _field("server_load", int), options, is_of_one=True)


def metrics(**options: Unpack[CallOptions]) -> Question[Metrics]:
    """Return how busy the server is and what it has done, and every sample of its metrics.

    Some 80 kB a call: poll seldom. Route: `GET /metrics`. Raises APIResponseValidationError for a text that is
    not in Prometheus' format, or larger than 16 MiB.
    """
    return Question(
        "get", "/metrics", lambda response: read_metrics(response.content.decode()), options, is_of_one=True
    )


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
    _require_one(prompt=prompt, messages=messages)
    body = _to_model(
        model,
        prompt=prompt,
        messages=_listed(messages),
        tools=_listed(tools),
        add_special_tokens=add_special_tokens,
        add_generation_prompt=add_generation_prompt,
        return_token_strs=return_token_strs,
    )
    return Question("post", "/tokenize", _model(Tokenization), options, body=body)


def detokenize(
    tokens: Sequence[int], *, model: str | None = None, **options: Unpack[CallOptions]
) -> Question[str]:
    """Return the text of token ids, special tokens included.

    Route: `POST /detokenize`. Raises BadRequestError for an id that the model does not have.
    """
    body = _to_model(model, tokens=list(tokens))
    return Question("post", "/detokenize", _field("prompt", str), options, body=body)


def score(
    text_1: Texts, text_2: Texts, *, model: str | None = None, **options: Unpack[CallOptions]
) -> Question[Scores]:
    """Return how well texts go together: one with one, one with each of several, or several in pairs.

    The scores are in the order of `text_2`. Route: `POST /score`, of a pooling server whose model embeds or is a
    cross-encoder. Raises BadRequestError for numbers of texts that do not pair.
    """
    body = _to_model(model, text_1=text_1, text_2=text_2)
    return Question("post", "/score", _model(Scores), options, body=body)


def rerank(
    query: Text,
    documents: Texts,
    *,
    model: str | None = None,
    top_n: int | None = None,
    **options: Unpack[CallOptions],
) -> Question[Ranking]:
    """Return documents in the order in which they answer a query, best first; all, or the best `top_n`.

    `index` is a document's number among those given. Route: `POST /rerank`, of a pooling server whose model
    embeds or is a cross-encoder.
    """
    body = _to_model(model, query=query, documents=documents, top_n=top_n)
    return Question("post", "/rerank", _model(Ranking), options, body=body)


def classify(
    input: Prompts | None = None,  # noqa: A002  # vLLM's name
    *,
    messages: Iterable[ChatCompletionMessageParam] | None = None,
    model: str | None = None,
    **options: Unpack[CallOptions],
) -> Question[Classification]:
    """Return the class of each input, or of one conversation, with the probability of every class.

    Give `input` or `messages`. Route: `POST /classify`, of a pooling server with a classification model. Raises
    TypeError for both or neither.
    """
    _require_one(input=input, messages=messages)
    body = _to_model(model, input=input, messages=_listed(messages))
    return Question("post", "/classify", _model(Classification), options, body=body)


def pooling(
    input: Prompts | None = None,  # noqa: A002  # vLLM's name
    *,
    messages: Iterable[ChatCompletionMessageParam] | None = None,
    model: str | None = None,
    task: str | None = None,
    **options: Unpack[CallOptions],
) -> Question[Pooling]:
    """Return what the model's pooler makes of each input, or of one conversation: a vector, or one for each token.

    Give `input` or `messages`. `task` ("embed", "classify", "token_embed", ...) must be the one that the server
    was started for. Route: `POST /pooling`, of any pooling server. Raises TypeError for both or neither.
    """
    _require_one(input=input, messages=messages)
    body = _to_model(model, input=input, messages=_listed(messages), task=task)
    return Question("post", "/pooling", _model(Pooling), options, body=body)


def load_lora_adapter(
    lora_name: str, lora_path: str, *, load_inplace: bool | None = None, **options: Unpack[CallOptions]
) -> Question[None]:
    """Load an adapter, which is then a model of this name.

    `lora_path` is a path on the server, or a name that it can resolve. `load_inplace` replaces the adapter of the
    same name. Not tried again: a second load is refused. Route: `POST /v1/load_lora_adapter`, with --enable-lora
    and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1. Raises BadRequestError for a name that is taken, NotFoundError where
    the path holds no adapter.
    """
    body = _given(lora_name=lora_name, lora_path=lora_path, load_inplace=load_inplace)
    return _changing_models("/load_lora_adapter", body, options)


def unload_lora_adapter(lora_name: str, **options: Unpack[CallOptions]) -> Question[None]:
    """Unload an adapter; requests that name it are refused from then on.

    Not tried again. Route: `POST /v1/unload_lora_adapter`. Raises NotFoundError for an adapter that is not loaded.
    """
    return _changing_models("/unload_lora_adapter", {"lora_name": lora_name}, options)


def sleep(
    *,
    level: int | None = None,
    mode: Literal["abort", "wait", "keep"] | None = None,
    **options: Unpack[CallOptions],
) -> Question[None]:
    """Put the engine to sleep, which frees memory: every request then HANGS until `wake_up`, while /health stays 200.

    `level` 0 only stops the engine, 1 (vLLM's default) moves the weights to main memory, 2 drops them. `mode` is
    what happens to requests under way: "abort" (vLLM's default), "wait" for their end, or "keep" them for later.
    Route: `POST /sleep`, with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1.
    """
    return Question("post", "/sleep", _nothing, options, query=_given(level=level, mode=mode), is_of_one=True)


def wake_up(*, tags: str | Sequence[str] | None = None, **options: Unpack[CallOptions]) -> Question[None]:
    """Wake the engine, or the parts named by `tags` ("weights", "kv_cache", "scheduling").

    After a part alone it still sleeps: see `is_sleeping`. Route: `POST /wake_up`.
    """
    return Question("post", "/wake_up", _nothing, options, query=_given(tags=tags), is_of_one=True)


def is_sleeping(**options: Unpack[CallOptions]) -> Question[bool]:
    """Return whether the engine sleeps, the whole of it or a part. Route: `GET /is_sleeping`."""
    return Question("get", "/is_sleeping", _field("is_sleeping", bool), options, is_of_one=True)


def abort(request_ids: str | Sequence[str], **options: Unpack[CallOptions]) -> Question[None]:
    """End requests under way: their calls raise AnswerIncomplete, with what they have so far as its `partial`.

    The id of a chat request is its answer's `id` ("chatcmpl-X" for `extra_body={"request_id": "X"}`), that of a
    completion has the number of the prompt behind it ("cmpl-X-0"). An id that is not under way is no error.
    Route: `POST /abort_requests`, with VLLM_SERVER_DEV_MODE=1 or --tokens-only. Raises ValueError without an id,
    which vLLM would take for all requests.
    """
    ids = [request_ids] if isinstance(request_ids, str) else list(request_ids)
    if not ids:
        raise ValueError("Name at least one request: for vLLM, none would mean all.")
    return Question("post", "/abort_requests", _nothing, options, body={"request_ids": ids}, is_of_one=True)


def _changing_models(path: str, body: Mapping[str, object], options: CallOptions) -> Question[None]:
    return Question(
        "post",
        path,
        _nothing,
        options,
        body=body,
        own_route=False,
        tries_again=False,
        changes_models=True,
        is_of_one=True,
    )


def _require_one(**given: object) -> None:
    """Refuse a call that gives both or neither of two ways to say what it is about."""
    if sum(value is not None for value in given.values()) != 1:
        one, other = given
        raise TypeError(f"Give `{one}` or `{other}`, and not both.")


def _listed(items: Iterable[object] | None) -> list[object] | None:
    return None if items is None else list(items)


def _nothing(response: httpx2.Response) -> None:
    """Read nothing: some routes answer with a text, some with JSON, some with nothing, and none says more.

    Raises ValueError for a page, which is a gateway's: nothing was done.
    """
    if response.headers.get("content-type", "").startswith("text/html"):
        raise ValueError("a page")


def _life(response: httpx2.Response) -> bool:
    _nothing(response)
    return True


def _given(**parameters: object) -> dict[str, object]:
    return {name: value for name, value in parameters.items() if value is not None}


def _to_model(model: str | None, **parameters: object) -> dict[str, object]:
    """Return the body of a request to a model, which the client fills in where it is left out."""
    return {**_given(**parameters), "model": openai.omit if model is None else model}


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
