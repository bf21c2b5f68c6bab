from agents import Agent, OpenAIResponsesModel
from openai import AsyncOpenAI

agent = Agent(name="Assistant", model=OpenAIResponsesModel(model="qwen", openai_client=AsyncOpenAI()))
