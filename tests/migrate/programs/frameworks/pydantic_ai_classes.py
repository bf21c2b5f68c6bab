import asyncio
import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.azure import AzureProvider
from pydantic_ai.providers.openai import OpenAIProvider

plain = OpenAIChatModel("gpt-4o")
keyed = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(api_key=os.environ["OPENAI_API_KEY"]))
azure = OpenAIChatModel(
    "gpt-4o",
    provider=AzureProvider(azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"], api_version="2024-06-01"),
)


async def main():
    for model in (plain, keyed, azure):
        async with Agent(model).run_stream("Hello") as result:
            print(await result.get_output())


asyncio.run(main())
