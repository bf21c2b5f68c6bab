from agents import Agent, OpenAIResponsesModel
from openai import AsyncOpenAI

agent = Agent(name="Assistant", model=OpenAIResponsesModel("gpt-4o", AsyncOpenAI()))
