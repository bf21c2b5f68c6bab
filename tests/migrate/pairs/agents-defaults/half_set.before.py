from agents import Agent, Runner, set_default_openai_client, set_trace_processors
from openai import AsyncOpenAI

set_trace_processors([])
set_default_openai_client(AsyncOpenAI(base_url="http://localhost:8000/v1", api_key="EMPTY"))
result = Runner.run_sync(Agent(name="Assistant", model="qwen"), "Hello")
