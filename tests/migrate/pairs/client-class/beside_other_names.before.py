"""Talks to a model."""

from __future__ import annotations

# The SDK.
from openai import (
    APIError,
    AsyncOpenAI,
    OpenAI as Client,
)  # its names


def ask(client: Client | AsyncOpenAI) -> None:
    try:
        client.models.list()
    except APIError:
        raise
