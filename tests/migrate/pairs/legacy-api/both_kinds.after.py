import asyncio

from vllm_connect import OpenAI, AsyncOpenAI

openai_client = OpenAI()
async_openai_client = AsyncOpenAI()


async def complete(prompt, client):
    response = await async_openai_client.completions.create(model="d", prompt=prompt, extra_headers={"x-team": "a"})
    return response.choices[0].text.strip()


async def stream(messages):
    async for part in await async_openai_client.chat.completions.create(model="gpt-4", messages=messages, stream=True):
        yield part.choices[0].delta.content or ""


def complete_now(prompt):
    return openai_client.with_options(base_url="http://gpu:8000/v1").completions.create(model="text-davinci-003", prompt=prompt).choices[0].text


asyncio.run(complete("Once", None))
