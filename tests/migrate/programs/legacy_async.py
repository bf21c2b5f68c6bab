import asyncio

import openai


async def chat(question):
    response = await openai.ChatCompletion.acreate(
        model="qwen", messages=[{"role": "user", "content": question}], max_tokens=4
    )
    return response["choices"][0]["message"]["content"]


async def stream(question):
    answer = await openai.ChatCompletion.acreate(
        model="qwen-small", messages=[{"role": "user", "content": question}], max_tokens=4, stream=True
    )
    return "".join([part["choices"][0]["delta"].get("content", "") async for part in answer])


async def main():
    assert await chat("Say hello.")
    assert await stream("Say hello.")


asyncio.run(main())
