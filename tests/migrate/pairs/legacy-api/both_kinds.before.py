import asyncio

import openai as ai


async def complete(prompt, client):
    response = await ai.Completion.acreate(deployment_id="d", model="text-davinci-003", prompt=prompt, headers={"x-team": "a"})
    return response.choices[0].text.strip()


async def stream(messages):
    async for part in await ai.ChatCompletion.acreate(model="gpt-4", messages=messages, stream=True):
        yield part["choices"][0]["delta"].get("content") or ""


def complete_now(prompt):
    return ai.Completion.create(model="text-davinci-003", prompt=prompt, api_key="k", api_base="http://gpu:8000/v1")["choices"][0]["text"]


asyncio.run(complete("Once", None))
