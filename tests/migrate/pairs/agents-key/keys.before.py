import os

from agents import Agent, set_default_openai_key, set_tracing_export_api_key

set_default_openai_key(os.environ["OPENAI_API_KEY"])
if os.environ.get("TRACES"):
    set_tracing_export_api_key(os.environ["OPENAI_API_KEY"])
agent = Agent(name="Assistant", model="qwen")
