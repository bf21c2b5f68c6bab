import asyncio
import os

import openai


async def main():
    openai.api_type = "azure"
    openai.api_base = os.environ["AZURE_OPENAI_ENDPOINT"]
    openai.api_version = "2023-05-15"
    openai.api_key = os.environ["AZURE_OPENAI_API_KEY"]
    answer = await openai.ChatCompletion.acreate(
        deployment_id="qwen", messages=[{"role": "user", "content": "Say hello."}], n=1
    )
    print(answer.choices[0].message.content)


asyncio.run(main())
