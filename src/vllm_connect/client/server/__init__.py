"""`client.server`: what a vLLM server offers beside the OpenAI API.

Each method but `info` is made of the function of its name in `calls`, where its arguments and their meaning stand;
here stands only who waits for the answer.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import openai

from vllm_connect.client.server import calls
from vllm_connect.client.server.exposition import Sample
from vllm_connect.client.server.metrics import Metrics
from vllm_connect.client.server.question import Question
from vllm_connect.client.server.results import (
    Classification,
    Pooling,
    Ranking,
    Scores,
    Tokenization,
)
from vllm_connect.client.spread import SURVEY_SECONDS
from vllm_connect.facts import ServerFacts
from vllm_connect.parameters import Adaptation
from vllm_connect.replicas import ReplicaState

if TYPE_CHECKING:
    from vllm_connect.client.asynchronous import AsyncOpenAI
    from vllm_connect.client.blocking import OpenAI

__all__ = [
    "Adaptation",
    "AsyncServer",
    "Classification",
    "Metrics",
    "Pooling",
    "Ranking",
    "Sample",
    "Scores",
    "Server",
    "Tokenization",
]

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])


def _waiting(call: Callable[P, Question[T]]) -> Callable[Concatenate[Server, P], T]:
    def method(server: Server, /, *arguments: P.args, **options: P.kwargs) -> T:
        return server._answered(call(*arguments, **options))

    return _described(method, call)


def _awaiting(
    call: Callable[P, Question[T]],
) -> Callable[Concatenate[AsyncServer, P], Coroutine[Any, Any, T]]:
    async def method(server: AsyncServer, /, *arguments: P.args, **options: P.kwargs) -> T:
        return await server._answered(call(*arguments, **options))

    return _described(method, call)


def _described(method: M, call: Callable[..., Any]) -> M:
    """Give a method the name, documentation and parameters of its call, and the answer as what it returns."""
    update_wrapper(method, call)
    vars(method).pop("__wrapped__")  # inspect would look there, and miss `self`
    signature = inspect.signature(call)
    answer = signature.return_annotation.removeprefix("Question[").removesuffix("]")
    method.__annotations__ = {**call.__annotations__, "return": answer}
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(method)["__signature__"] = signature.replace(
        parameters=[itself, *signature.parameters.values()], return_annotation=answer
    )
    return method


class Server:
    """What a vLLM server offers beside the OpenAI API, for a blocking client."""

    def __init__(self, client: OpenAI) -> None:
        self._client = client

    def info(self) -> ServerFacts:
        """Ask the server what it is: version, models with their context, kinds of request, need of a key.

        What a gateway hides or the server does not tell within seconds is None. Nothing is generated. Raises what
        `models.list()` raises: the server is away, the key is refused, or there is no `/v1/models`.
        Routes: `GET /v1/models`, with and without the key, `/version`, `/openapi.json`; where that is hidden, GET
        of each route, which says by 405 that it is there.
        """
        client = self._client
        if client._replicas.only is None:
            return self._info_of_one()
        return client._noted(client._driven(client._asking_for_facts()))

    def _info_of_one(self) -> ServerFacts:
        """Return the facts of the first replica that answers."""
        self._client._find(SURVEY_SECONDS)
        *first, last = (self._client._at(member) for member in self._client._replicas.members)
        for client in first:
            with contextlib.suppress(openai.APIConnectionError, openai.InternalServerError):
                return client.server.info()
        return last.server.info()

    def replicas(self) -> tuple[ReplicaState, ...]:
        """Return how each replica does, as this client and its copies have seen it; nothing is asked.

        `state` is "serving", "resting" (left alone after failures, `rests_for` seconds more), "warming" (back, with
        a growing share) or "excluded" (`reason` says why: another model, a shorter context). With one server there is
        nothing to choose, and nothing is counted.
        """
        return self._client._replicas.report(self._client._clock())

    def adaptations(self) -> tuple[Adaptation, ...]:
        """Return what was found in the requests of this client and its copies, each kind once; nothing is asked.

        Parameters that were translated, that the server ignores or does not know: what `parameters="warn"` logs.
        """
        return tuple(self._client._catalogue.adaptations.values())

    version = _waiting(calls.version)
    health = _waiting(calls.health)
    load = _waiting(calls.load)
    tokenize = _waiting(calls.tokenize)
    detokenize = _waiting(calls.detokenize)
    metrics = _waiting(calls.metrics)
    score = _waiting(calls.score)
    rerank = _waiting(calls.rerank)
    classify = _waiting(calls.classify)
    pooling = _waiting(calls.pooling)
    load_lora_adapter = _waiting(calls.load_lora_adapter)
    unload_lora_adapter = _waiting(calls.unload_lora_adapter)
    sleep = _waiting(calls.sleep)
    wake_up = _waiting(calls.wake_up)
    is_sleeping = _waiting(calls.is_sleeping)
    abort = _waiting(calls.abort)

    def _answered(self, question: Question[T]) -> T:
        client = self._client
        try:
            response = client.request(client._response_type, client._request_options(question))
        except openai.APIStatusError as error:
            return question.meaning(error)
        return client._read(question, response)


class AsyncServer:
    """What a vLLM server offers beside the OpenAI API, for an async client."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def info(self) -> ServerFacts:
        client = self._client
        if client._replicas.only is None:
            return await self._info_of_one()
        return client._noted(await client._driven(client._asking_for_facts()))

    async def _info_of_one(self) -> ServerFacts:
        await self._client._find(SURVEY_SECONDS)
        *first, last = (self._client._at(member) for member in self._client._replicas.members)
        for client in first:
            with contextlib.suppress(openai.APIConnectionError, openai.InternalServerError):
                return await client.server.info()
        return await last.server.info()

    def replicas(self) -> tuple[ReplicaState, ...]:
        return self._client._replicas.report(self._client._clock())

    def adaptations(self) -> tuple[Adaptation, ...]:
        return tuple(self._client._catalogue.adaptations.values())

    replicas.__doc__ = Server.replicas.__doc__
    adaptations.__doc__ = Server.adaptations.__doc__

    info.__doc__ = Server.info.__doc__
    version = _awaiting(calls.version)
    health = _awaiting(calls.health)
    load = _awaiting(calls.load)
    tokenize = _awaiting(calls.tokenize)
    detokenize = _awaiting(calls.detokenize)
    metrics = _awaiting(calls.metrics)
    score = _awaiting(calls.score)
    rerank = _awaiting(calls.rerank)
    classify = _awaiting(calls.classify)
    pooling = _awaiting(calls.pooling)
    load_lora_adapter = _awaiting(calls.load_lora_adapter)
    unload_lora_adapter = _awaiting(calls.unload_lora_adapter)
    sleep = _awaiting(calls.sleep)
    wake_up = _awaiting(calls.wake_up)
    is_sleeping = _awaiting(calls.is_sleeping)
    abort = _awaiting(calls.abort)

    async def _answered(self, question: Question[T]) -> T:
        client = self._client
        try:
            response = await client.request(client._response_type, client._request_options(question))
        except openai.APIStatusError as error:
            return question.meaning(error)
        return client._read(question, response)
