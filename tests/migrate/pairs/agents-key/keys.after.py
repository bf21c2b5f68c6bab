import os

from agents import Agent
if os.environ.get("TRACES"):
    pass
agent = Agent(name="Assistant", model="qwen")
