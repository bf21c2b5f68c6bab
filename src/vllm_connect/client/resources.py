"""The four resources: the SDK's own, with `model` optional and `timeouts` per call.

Each method ends in the SDK's method of the same name, looked up when called: tracers replace those.
What differs at run time is small and the same for all; what type checkers see stands in `resources.pyi`.
"""

from __future__ import annotations

from functools import cached_property, wraps
from typing import Any

import openai
from openai._base_client import AsyncPaginator  # private, the same in 2.25 and 3.x
from openai.resources import chat as sdk_chat
from openai.resources import completions as sdk_completions
from openai.resources import embeddings as sdk_embeddings
from openai.resources import models as sdk_models
from openai.resources.chat import completions as sdk_chat_completions

from vllm_connect.client.creating import NOT_TAKEN, acleared, acreated, as_page, cleared, created
from vllm_connect.client.forms import ASYNC_MODELS, CHAT, COMPLETIONS, EMBEDDINGS, MODELS
from vllm_connect.client.review import arguments
from vllm_connect.outcome import Attempt, judged

__all__ = [
    "AsyncChat",
    "AsyncChatCompletions",
    "AsyncCompletions",
    "AsyncEmbeddings",
    "AsyncModels",
    "Chat",
    "ChatCompletions",
    "Completions",
    "Embeddings",
    "Models",
]

# The header by which the SDK's `with_raw_response` and `with_streaming_response` ask for the response itself.
RAW_RESPONSE_HEADER = "X-Stainless-Raw-Response"


def prepared(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a call's arguments as the SDK takes them.

    A `model` left out is filled in later, when the server can be asked; `timeouts` travel as `timeout`.
    """
    timeouts = parameters.pop("timeouts", None)
    if timeouts is not None:
        if not isinstance(parameters.get("timeout", openai.NOT_GIVEN), openai.NotGiven):
            raise TypeError("Give `timeout` or `timeouts`, not both.")
        parameters["timeout"] = timeouts
    parameters.setdefault("model", openai.omit)
    return parameters


class ChatCompletions(sdk_chat_completions.Completions):
    """`client.chat.completions`."""

    @wraps(sdk_chat_completions.Completions.create)
    def create(self, **parameters: Any) -> Any:
        parameters, is_clear = arguments(self._client, "chat", parameters)
        if not is_clear:
            parameters, is_clear = cleared(self._client, "chat", parameters)
        answer = created(self._client, CHAT, parameters) if is_clear else NOT_TAKEN
        return super().create(**prepared(parameters)) if answer is NOT_TAKEN else answer

    @wraps(sdk_chat_completions.Completions.parse)
    def parse(self, **parameters: Any) -> Any:
        return super().parse(**prepared(arguments(self._client, "chat", parameters)[0]))

    @wraps(sdk_chat_completions.Completions.stream)
    def stream(self, **parameters: Any) -> Any:
        return super().stream(**prepared(arguments(self._client, "chat", parameters)[0]))


# Tracers name calls by the class they find.
ChatCompletions.__name__ = sdk_chat_completions.Completions.__name__


class AsyncChatCompletions(sdk_chat_completions.AsyncCompletions):
    """`client.chat.completions` of the async client."""

    @wraps(sdk_chat_completions.AsyncCompletions.create)
    async def create(self, **parameters: Any) -> Any:
        parameters, is_clear = arguments(self._client, "chat", parameters)
        if not is_clear:
            parameters, is_clear = await acleared(self._client, "chat", parameters)
        answer = await acreated(self._client, CHAT, parameters) if is_clear else NOT_TAKEN
        return await super().create(**prepared(parameters)) if answer is NOT_TAKEN else answer

    @wraps(sdk_chat_completions.AsyncCompletions.parse)
    async def parse(self, **parameters: Any) -> Any:
        return await super().parse(**prepared(arguments(self._client, "chat", parameters)[0]))

    @wraps(sdk_chat_completions.AsyncCompletions.stream)
    def stream(self, **parameters: Any) -> Any:
        return super().stream(**prepared(arguments(self._client, "chat", parameters)[0]))


# Tracers name calls by the class they find.
AsyncChatCompletions.__name__ = sdk_chat_completions.AsyncCompletions.__name__


class Chat(sdk_chat.Chat):
    """`client.chat`."""

    @cached_property
    def completions(self) -> ChatCompletions:
        return ChatCompletions(self._client)


class AsyncChat(sdk_chat.AsyncChat):
    """`client.chat` of the async client."""

    @cached_property
    def completions(self) -> AsyncChatCompletions:
        return AsyncChatCompletions(self._client)


class Completions(sdk_completions.Completions):
    """`client.completions`."""

    @wraps(sdk_completions.Completions.create)
    def create(self, **parameters: Any) -> Any:
        parameters, is_clear = arguments(self._client, "completions", parameters)
        if not is_clear:
            parameters, is_clear = cleared(self._client, "completions", parameters)
        answer = created(self._client, COMPLETIONS, parameters) if is_clear else NOT_TAKEN
        return super().create(**prepared(parameters)) if answer is NOT_TAKEN else answer


class AsyncCompletions(sdk_completions.AsyncCompletions):
    """`client.completions` of the async client."""

    @wraps(sdk_completions.AsyncCompletions.create)
    async def create(self, **parameters: Any) -> Any:
        parameters, is_clear = arguments(self._client, "completions", parameters)
        if not is_clear:
            parameters, is_clear = await acleared(self._client, "completions", parameters)
        answer = await acreated(self._client, COMPLETIONS, parameters) if is_clear else NOT_TAKEN
        return await super().create(**prepared(parameters)) if answer is NOT_TAKEN else answer


class Embeddings(sdk_embeddings.Embeddings):
    """`client.embeddings`."""

    @wraps(sdk_embeddings.Embeddings.create)
    def create(self, **parameters: Any) -> Any:
        parameters, is_clear = arguments(self._client, "embeddings", parameters)
        answer = created(self._client, EMBEDDINGS, parameters) if is_clear else NOT_TAKEN
        return super().create(**prepared(parameters)) if answer is NOT_TAKEN else answer


class AsyncEmbeddings(sdk_embeddings.AsyncEmbeddings):
    """`client.embeddings` of the async client."""

    @wraps(sdk_embeddings.AsyncEmbeddings.create)
    async def create(self, **parameters: Any) -> Any:
        parameters, is_clear = arguments(self._client, "embeddings", parameters)
        answer = await acreated(self._client, EMBEDDINGS, parameters) if is_clear else NOT_TAKEN
        return await super().create(**prepared(parameters)) if answer is NOT_TAKEN else answer


class Models(sdk_models.Models):
    """`client.models`."""

    @wraps(sdk_models.Models.list)
    def list(self, **options: Any) -> Any:
        page = created(self._client, MODELS, options)
        return super().list(**options) if page is NOT_TAKEN else as_page(self._client, page)

    @wraps(sdk_models.Models.retrieve)
    def retrieve(self, model: str, **options: Any) -> Any:
        """Return one model; vLLM has no route for it, so on its 404 the answer comes from the list."""
        try:
            return super().retrieve(model, **options)
        except openai.NotFoundError as error:
            if not answered_from_list(error, options):
                raise
            return named_model([*self.list(**options)], model, error)


class _ModelsToCome(AsyncPaginator[Any, Any]):
    """The list of models that nobody has awaited yet."""

    def __init__(self, paginator: Any, options: dict[str, Any]) -> None:
        super().__init__(paginator._client, paginator._options, paginator._page_cls, paginator._model)
        self._given = options

    async def _get_page(self) -> Any:
        page = await acreated(self._client, ASYNC_MODELS, self._given)
        return await super()._get_page() if page is NOT_TAKEN else as_page(self._client, page)


class AsyncModels(sdk_models.AsyncModels):
    """`client.models` of the async client."""

    @wraps(sdk_models.AsyncModels.list)
    def list(self, **options: Any) -> Any:
        return _ModelsToCome(super().list(**options), options)

    @wraps(sdk_models.AsyncModels.retrieve)
    async def retrieve(self, model: str, **options: Any) -> Any:
        """Return one model; vLLM has no route for it, so on its 404 the answer comes from the list."""
        try:
            return await super().retrieve(model, **options)
        except openai.NotFoundError as error:
            if not answered_from_list(error, options):
                raise
            return named_model([one async for one in self.list(**options)], model, error)


def answered_from_list(error: openai.NotFoundError, options: dict[str, Any]) -> bool:
    """Whether this 404 says that the route is missing, and the caller wants a model and not the raw answer."""
    missing_route = isinstance(error.body, dict) and "detail" in error.body
    raw = any(name.lower() == RAW_RESPONSE_HEADER.lower() for name in options.get("extra_headers") or {})
    return missing_route and not raw


def named_model(served: list[Any], name: str, error: openai.NotFoundError) -> Any:
    """Return the model of this name from the list; raises NotFoundError with the nearest names."""
    for one in served:
        if one.id == name:
            return one
    names = [one.id for one in served]
    import difflib  # noqa: PLC0415 - for a mistyped name only

    close = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It serves {', '.join(names) or 'no model'}."
    missing = openai.NotFoundError(
        f"Error code: 404 - The server does not serve a model {name!r}. {hint}",
        response=error.response,
        body={
            "message": f"The model `{name}` does not exist.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        },
    )
    raise judged(missing, Attempt(phase="complete", status=404, lacks_model=True)) from None
