import os

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIModel("gpt-4o")
keyed = OpenAIModel("qwen", provider=OpenAIProvider(api_key=os.environ["OPENAI_API_KEY"]))
agent = Agent(model)
shared = OpenAIModel("qwen", provider=OpenAIProvider(openai_client=AsyncOpenAI()))
