"""Which kind of server it is, asked only where that decides whether an answer is whole: once, by its list of models."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import openai

from vllm_connect.discovery import discover_models
from vllm_connect.dispatch import Call
from vllm_connect.facts import ServerFacts
from vllm_connect.outcome import Attempt, judge
from vllm_connect.outcome.profiles import may_be_whole, profile_of

__all__ = ["aaccepts", "accepts"]


def accepts(client: Any, attempt: Attempt, call: Call | None) -> bool:
    """Whether an answer that is not done by vLLM's rules is whole by those of this server.

    A blocking client asks its server where it does not know it; for an async one `aaccepts` does. That is done within
    the time of the `call` whose answer it is.
    """
    if not may_be_whole(attempt):
        return False
    if isinstance(client, openai.OpenAI) and _must_ask(client):
        with _noting_failure(client):
            client._catalogue.models = client._driven(discover_models(), _question(client, call))  # type: ignore[attr-defined]  # ours
    return _is_accepted(client, attempt)


async def aaccepts(client: Any, attempt: Attempt, call: Call | None) -> bool:
    """Do the same for an async client."""
    if not may_be_whole(attempt):
        return False
    if _must_ask(client):
        with _noting_failure(client):
            client._catalogue.models = await client._driven(discover_models(), _question(client, call))
    return _is_accepted(client, attempt)


# What a server, or the way to it, may do better another time.
NO_ANSWER = (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError)


@contextlib.contextmanager
def _noting_failure(client: Any) -> Iterator[None]:
    """Have a question that got no answer asked again where it next decides; a refusal is an answer."""
    try:
        yield
    except openai.OpenAIError as error:
        client._catalogue.was_asked = not isinstance(error, NO_ANSWER)


def _question(client: Any, call: Call | None) -> Call:
    """Return the call of one question, which ends with the call that it is asked for."""
    asked: Call = client._short_call(math.inf if call is None else call.remaining(client._clock()))
    return asked


def _must_ask(client: Any) -> bool:
    catalogue = client._catalogue
    if catalogue.models is not None or catalogue.was_asked or catalogue.carriage.is_vllm:
        return False
    catalogue.was_asked = True
    return True


def _is_accepted(client: Any, attempt: Attempt) -> bool:
    catalogue = client._catalogue
    if catalogue.models is None or catalogue.carriage.is_vllm:
        return False
    facts = ServerFacts(str(client._settings.endpoint), None, catalogue.models)
    return judge(profile_of(facts).read(attempt)).is_done
