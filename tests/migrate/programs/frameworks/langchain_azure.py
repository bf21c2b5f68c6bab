import asyncio
import os

from langchain_openai import AzureChatOpenAI
from pydantic import BaseModel


class Answer(BaseModel):
    text: str


def make() -> AzureChatOpenAI:
    return AzureChatOpenAI(
        azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
        azure_deployment="gpt-4o",
        api_version="2024-08-01-preview",
        temperature=0.5,
    )


async def main():
    structured = make().with_structured_output(Answer)
    answer = await structured.ainvoke("What is vLLM?")
    assert isinstance(answer, Answer)


asyncio.run(main())
