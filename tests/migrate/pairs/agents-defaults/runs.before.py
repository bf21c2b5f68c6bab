"""An assistant."""

from __future__ import annotations

import asyncio

from agents import Agent, Runner

agent = Agent(name="Assistant", instructions="Be short.", model="gpt-4o")

if __name__ == "__main__":
    print(asyncio.run(Runner.run(agent, "Hello")).final_output)
