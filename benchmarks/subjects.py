"""What is measured: a client, reduced to what the scenarios do with it. The SDK's and ours are driven by the same code."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import openai

import vllm_connect
from benchmarks import requests
from benchmarks.goals import Side
from vllm_connect import Tls
from vllm_connect.client.review import arguments

KEY: Final = "sk-bench"  # a server's own key, invented here


@dataclass(frozen=True, slots=True)
class Read:
    """What a stream gave."""

    chunks: int
    text: str


class AsyncSubject(Protocol):
    """An async client, or what stands in for one."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_raised: object) -> None: ...
    async def call(self) -> Any: ...
    async def raw_call(self) -> Any: ...
    async def embed(self) -> Any: ...
    async def open(self, model: str) -> Any: ...
    async def read(self, stream: Any) -> Read: ...
    async def chunks(self) -> list[Any]: ...


class Subject(Protocol):
    """A blocking client, or what stands in for one."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_raised: object) -> None: ...
    def call(self) -> Any: ...
    def open(self, model: str) -> Any: ...
    def read(self, stream: Any) -> Read: ...
    def chunks(self) -> list[Any]: ...


class AsyncSdk:
    """openai.AsyncOpenAI, or ours."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self.client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.client.close()

    async def call(self) -> Any:
        return await self.client.chat.completions.create(**requests.chat())

    async def raw_call(self) -> Any:
        answer = await self.client.chat.completions.with_raw_response.create(**requests.chat())
        return answer.parse()

    async def embed(self) -> Any:
        return await self.client.embeddings.create(**requests.EMBEDDINGS)

    async def open(self, model: str) -> Any:
        return await self.client.chat.completions.create(**requests.chat(model), stream=True)

    async def read(self, stream: Any) -> Read:
        chunks, text = 0, []
        async for chunk in stream:
            chunks += 1
            text.append(chunk.choices[0].delta.content or "")
        return Read(chunks, "".join(text))

    async def chunks(self) -> list[Any]:
        return [chunk async for chunk in await self.open(requests.MODEL)]


class Sdk:
    """openai.OpenAI, or ours."""

    def __init__(self, client: openai.OpenAI) -> None:
        self.client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.client.close()

    def call(self) -> Any:
        return self.client.chat.completions.create(**requests.chat())

    def open(self, model: str) -> Any:
        return self.client.chat.completions.create(**requests.chat(model), stream=True)

    def read(self, stream: Any) -> Read:
        chunks, text = 0, []
        for chunk in stream:
            chunks += 1
            text.append(chunk.choices[0].delta.content or "")
        return Read(chunks, "".join(text))

    def chunks(self) -> list[Any]:
        return list(self.open(requests.MODEL))


# Each as its user makes it: an address and a key, and over TLS what trusts a private authority.


def openai_async(url: str, authority: str | None) -> AsyncSdk:
    if authority is None:
        return AsyncSdk(openai.AsyncOpenAI(base_url=url, api_key=KEY))
    trusting = openai.DefaultAsyncHttpxClient(verify=ssl.create_default_context(cafile=authority))
    return AsyncSdk(openai.AsyncOpenAI(base_url=url, api_key=KEY, http_client=trusting))


def openai_blocking(url: str) -> Sdk:
    return Sdk(openai.OpenAI(base_url=url, api_key=KEY))


def ours_async(url: str, authority: str | None) -> AsyncSdk:
    if authority is None:
        return AsyncSdk(vllm_connect.AsyncOpenAI(base_url=url, api_key=KEY))
    return AsyncSdk(vllm_connect.AsyncOpenAI(base_url=url, api_key=KEY, tls=Tls(ca=authority)))


def ours_blocking(url: str) -> Sdk:
    return Sdk(vllm_connect.OpenAI(base_url=url, api_key=KEY))


@contextmanager
def looking(side: Side, url: str) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Give what looks a chat request over: openai does not at all."""
    if side == "openai":
        yield lambda given: given
        return
    with vllm_connect.OpenAI(base_url=url, api_key=KEY) as client:
        yield lambda given: arguments(client, "chat", given)[0]
