from collections.abc import Iterable
from typing import Literal, TypeAlias, TypeVar, Unpack, overload

import openai
from openai import AsyncStream, Stream
from openai.lib.streaming.chat import AsyncChatCompletionStreamManager, ChatCompletionStreamManager
from openai.resources import chat as sdk_chat
from openai.resources import completions as sdk_completions
from openai.resources import embeddings as sdk_embeddings
from openai.resources import models as sdk_models
from openai.resources.chat import completions as sdk_chat_completions
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ParsedChatCompletion,
    completion_create_params,
)

from vllm_connect.client.signatures import ChatParameters, CompletionParameters, EmbeddingParameters

# pydantic models and dataclasses, as the SDK's own `parse` takes them
_Format = TypeVar("_Format")
_Messages: TypeAlias = Iterable[ChatCompletionMessageParam]
_ResponseFormat: TypeAlias = completion_create_params.ResponseFormat | openai.Omit
_Prompt: TypeAlias = str | list[str] | Iterable[int] | Iterable[Iterable[int]] | None
_Input: TypeAlias = str | list[str] | Iterable[int] | Iterable[Iterable[int]]
_Model: TypeAlias = str | openai.Omit
_Plain: TypeAlias = Literal[False] | openai.Omit | None

class ChatCompletions(sdk_chat_completions.Completions):
    @overload
    def create(
        self,
        *,
        messages: _Messages,
        stream: _Plain = ...,
        model: _Model = ...,
        response_format: _ResponseFormat = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ChatCompletion: ...
    @overload
    def create(
        self,
        *,
        messages: _Messages,
        stream: Literal[True],
        model: _Model = ...,
        response_format: _ResponseFormat = ...,
        **parameters: Unpack[ChatParameters],
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(
        self,
        *,
        messages: _Messages,
        stream: bool,
        model: _Model = ...,
        response_format: _ResponseFormat = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...
    def parse(
        self,
        *,
        messages: _Messages,
        model: _Model = ...,
        response_format: type[_Format] | openai.Omit = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ParsedChatCompletion[_Format]: ...
    def stream(
        self,
        *,
        messages: _Messages,
        model: _Model = ...,
        response_format: completion_create_params.ResponseFormat | type[_Format] | openai.Omit = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ChatCompletionStreamManager[_Format]: ...

class Chat(sdk_chat.Chat):
    @property
    def completions(self) -> ChatCompletions: ...

class Completions(sdk_completions.Completions):
    @overload  # type: ignore[override]
    def create(
        self,
        *,
        prompt: _Prompt,
        stream: _Plain = ...,
        model: _Model = ...,
        **parameters: Unpack[CompletionParameters],
    ) -> Completion: ...
    @overload
    def create(
        self,
        *,
        prompt: _Prompt,
        stream: Literal[True],
        model: _Model = ...,
        **parameters: Unpack[CompletionParameters],
    ) -> Stream[Completion]: ...
    @overload
    def create(
        self,
        *,
        prompt: _Prompt,
        stream: bool,
        model: _Model = ...,
        **parameters: Unpack[CompletionParameters],
    ) -> Completion | Stream[Completion]: ...

class Embeddings(sdk_embeddings.Embeddings):
    def create(  # type: ignore[override]
        self, *, input: _Input, model: _Model = ..., **parameters: Unpack[EmbeddingParameters]
    ) -> CreateEmbeddingResponse: ...

class Models(sdk_models.Models): ...

class AsyncChatCompletions(sdk_chat_completions.AsyncCompletions):
    @overload
    async def create(
        self,
        *,
        messages: _Messages,
        stream: _Plain = ...,
        model: _Model = ...,
        response_format: _ResponseFormat = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ChatCompletion: ...
    @overload
    async def create(
        self,
        *,
        messages: _Messages,
        stream: Literal[True],
        model: _Model = ...,
        response_format: _ResponseFormat = ...,
        **parameters: Unpack[ChatParameters],
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def create(
        self,
        *,
        messages: _Messages,
        stream: bool,
        model: _Model = ...,
        response_format: _ResponseFormat = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...
    async def parse(
        self,
        *,
        messages: _Messages,
        model: _Model = ...,
        response_format: type[_Format] | openai.Omit = ...,
        **parameters: Unpack[ChatParameters],
    ) -> ParsedChatCompletion[_Format]: ...
    def stream(
        self,
        *,
        messages: _Messages,
        model: _Model = ...,
        response_format: completion_create_params.ResponseFormat | type[_Format] | openai.Omit = ...,
        **parameters: Unpack[ChatParameters],
    ) -> AsyncChatCompletionStreamManager[_Format]: ...

class AsyncChat(sdk_chat.AsyncChat):
    @property
    def completions(self) -> AsyncChatCompletions: ...

class AsyncCompletions(sdk_completions.AsyncCompletions):
    @overload  # type: ignore[override]
    async def create(
        self,
        *,
        prompt: _Prompt,
        stream: _Plain = ...,
        model: _Model = ...,
        **parameters: Unpack[CompletionParameters],
    ) -> Completion: ...
    @overload
    async def create(
        self,
        *,
        prompt: _Prompt,
        stream: Literal[True],
        model: _Model = ...,
        **parameters: Unpack[CompletionParameters],
    ) -> AsyncStream[Completion]: ...
    @overload
    async def create(
        self,
        *,
        prompt: _Prompt,
        stream: bool,
        model: _Model = ...,
        **parameters: Unpack[CompletionParameters],
    ) -> Completion | AsyncStream[Completion]: ...

class AsyncEmbeddings(sdk_embeddings.AsyncEmbeddings):
    async def create(  # type: ignore[override]
        self, *, input: _Input, model: _Model = ..., **parameters: Unpack[EmbeddingParameters]
    ) -> CreateEmbeddingResponse: ...

class AsyncModels(sdk_models.AsyncModels): ...
