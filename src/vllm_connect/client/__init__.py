"""The drop-in clients: subclasses of the SDK's own."""

from vllm_connect.client.asynchronous import AsyncOpenAI
from vllm_connect.client.blocking import OpenAI

__all__ = ["AsyncOpenAI", "OpenAI"]
