import os

from vllm_connect import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.vllm import VLLMProvider

model = OpenAIChatModel("qwen", provider="vllm")
keyed = OpenAIChatModel("qwen", provider=VLLMProvider(api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", base_url=os.environ["VLLM_BASE_URL"]))
agent = Agent(model)
shared = OpenAIChatModel("qwen", provider=VLLMProvider(openai_client=AsyncOpenAI()))
