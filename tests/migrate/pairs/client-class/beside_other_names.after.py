"""Talks to a model."""

from __future__ import annotations

# The SDK.
from openai import APIError  # its names
from vllm_connect import AsyncOpenAI, OpenAI as Client


def ask(client: Client | AsyncOpenAI) -> None:
    try:
        client.models.list()
    except APIError:
        raise
