"""A late first token asked of a second replica, on real vLLM: the answer is the same, and the late work is not done."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.live.failover import running
from tests.live.servers import Server
from tests.relay import Relay
from vllm_connect import AsyncOpenAI
from vllm_connect.replicas.hedging import ENOUGH

PATH = "/v1/chat/completions"
HELD = 30.0
ASKED: Any = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Tell me about the sea."}],
    "temperature": 0,
    "stream": True,
}


async def told(client: AsyncOpenAI, tokens: int) -> str:
    stream = await client.chat.completions.create(**ASKED, max_tokens=tokens, extra_body={"ignore_eos": True})
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_hedge(chat_server: Server) -> None:
    """An answer that is held back on its way is not waited for: the other replica's is the caller's, word for word."""

    async def run() -> None:
        # Over our own wire also where the suite runs over the SDK's: as `resume`, it is of the fast lane.
        given: Any = {"api_key": chat_server.options.api_key, "hedge": True, "wire": "own"}
        urls = [first.url, second.url]
        async with AsyncOpenAI(base_url=urls, **given) as client:
            undisturbed = await told(client, 64)
            for _ in range(ENOUGH):
                await told(client, 1)
            # All calls of one prompt go to one replica: the answer that is held is that one's.
            served = {replica.name: replica.served for replica in client.server.replicas()}
            home = max((first, second), key=lambda relay: served[relay.url])
            home.hold(PATH, HELD)
            began = time.monotonic()
            while not home.made:
                assert await told(client, 64) == undisturbed
            assert time.monotonic() - began < HELD
            # What was held back is given up, and its work with it.
            end = time.monotonic() + 5
            while await asyncio.to_thread(running, chat_server):
                assert time.monotonic() < end

    with Relay(chat_server.url) as first, Relay(chat_server.url) as second:
        asyncio.run(run())
