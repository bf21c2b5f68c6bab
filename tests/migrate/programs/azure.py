import asyncio
import os

import openai
from openai import AzureOpenAI

DEPLOYMENT = os.environ.get("DEPLOYMENT", "qwen")


class Assistant:
    def __init__(self):
        self.client = AzureOpenAI(
            azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
            api_key=os.environ["AZURE_OPENAI_API_KEY"],
            api_version="2024-06-01",
        )
        self.later = openai.AsyncAzureOpenAI(
            azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
            azure_deployment="chat",
            api_version="2024-06-01",
        )

    def ask(self, question):
        try:
            answer = self.client.chat.completions.create(
                model=DEPLOYMENT, messages=[{"role": "user", "content": question}]
            )
        except openai.APIError as error:
            raise SystemExit(f"failed: {error}")
        return answer.choices[0].message.content

    async def stream(self, question):
        async for chunk in await self.later.chat.completions.create(
            model=DEPLOYMENT, messages=[{"role": "user", "content": question}], stream=True
        ):
            print(chunk.choices[0].delta.content if chunk.choices else "")
        await self.later.close()


assistant = Assistant()
print(assistant.ask("Say hello."))
asyncio.run(assistant.stream("Say hello."))
