"""`client.server`: what a vLLM server offers beside the OpenAI API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_connect.discovery import discover_facts
from vllm_connect.facts import ServerFacts

if TYPE_CHECKING:
    from vllm_connect.client.asynchronous import AsyncOpenAI
    from vllm_connect.client.blocking import OpenAI

__all__ = ["AsyncServer", "Server"]


class Server:
    """What the server is, for a blocking client."""

    def __init__(self, client: OpenAI) -> None:
        self._client = client

    def info(self) -> ServerFacts:
        """Ask the server for its version and models; raises what `models.list()` raises.

        Routes: `GET /v1/models`, `GET /version`. The version is None where a gateway hides it.
        """
        facts = self._client._driven(discover_facts(str(self._client.settings.endpoint)))
        self._client._catalogue.models = facts.models
        return facts


class AsyncServer:
    """What the server is, for an async client."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def info(self) -> ServerFacts:
        """Ask the server for its version and models; raises what `models.list()` raises.

        Routes: `GET /v1/models`, `GET /version`. The version is None where a gateway hides it.
        """
        facts = await self._client._driven(discover_facts(str(self._client.settings.endpoint)))
        self._client._catalogue.models = facts.models
        return facts
