"""An assistant."""

from __future__ import annotations

import asyncio

from agents import set_tracing_disabled, set_default_openai_api, set_default_openai_client, Agent, Runner
from vllm_connect import AsyncOpenAI

set_default_openai_client(AsyncOpenAI(), use_for_tracing=False)
set_default_openai_api("chat_completions")
set_tracing_disabled(True)

agent = Agent(name="Assistant", instructions="Be short.", model="qwen")

if __name__ == "__main__":
    print(asyncio.run(Runner.run(agent, "Hello")).final_output)
