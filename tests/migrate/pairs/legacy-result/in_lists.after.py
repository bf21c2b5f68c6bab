import asyncio
import json

from vllm_connect import OpenAI, AsyncOpenAI
import requests

client = OpenAI()
async_client = AsyncOpenAI()


async def several(prompts):
    tasks = [async_client.completions.create(model="m", prompt=prompt) for prompt in prompts]
    return [answer["choices"][0]["text"] for answer in await asyncio.gather(*tasks)]


def one(prompt):
    return asyncio.run(async_client.completions.create(model="m", prompt=prompt)).choices[0].text


def streamed(messages):
    collected = []
    for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
        chunk_message = chunk.choices[0].delta
        collected.append(chunk_message.to_dict())
    return "".join([part.get("content", "") for part in collected])


def stored(path, url):
    with open(path) as file:
        print(json.load(file)["choices"][0]["message"]["content"])
    return requests.post(url).json()["choices"][0]["message"]["content"]
