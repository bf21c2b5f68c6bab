from agents import Agent, OpenAIChatCompletionsModel
from vllm_connect import AsyncOpenAI

agent = Agent(name="Assistant", model=OpenAIChatCompletionsModel("qwen", AsyncOpenAI()))
