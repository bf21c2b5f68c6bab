import asyncio

from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner
from openai import AsyncOpenAI


async def main():
    model = OpenAIResponsesModel(model="gpt-4o", openai_client=AsyncOpenAI())
    agent = Agent(name="Assistant", model=model, model_settings=ModelSettings(temperature=0.25))
    result = Runner.run_streamed(agent, "Hello")
    async for event in result.stream_events():
        print(event.type)
    other = Agent(name="Other", model="openai/gpt-4o-mini")
    print((await Runner.run(other, "Hello")).final_output)


asyncio.run(main())
