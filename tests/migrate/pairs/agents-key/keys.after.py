import os

from agents import Agent, set_default_openai_key, set_tracing_export_api_key
if os.environ.get("TRACES"):
    pass
agent = Agent(name="Assistant", model="qwen")
