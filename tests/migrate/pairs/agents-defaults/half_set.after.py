from agents import set_default_openai_api, Agent, Runner, set_default_openai_client, set_trace_processors
from vllm_connect import AsyncOpenAI

set_default_openai_api("chat_completions")

set_trace_processors([])
set_default_openai_client(AsyncOpenAI(base_url="http://localhost:8000/v1", api_key="EMPTY"))
result = Runner.run_sync(Agent(name="Assistant", model="qwen"), "Hello")
