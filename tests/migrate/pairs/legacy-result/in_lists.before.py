import asyncio
import json

import openai
import requests


async def several(prompts):
    tasks = [openai.Completion.acreate(model="m", prompt=prompt) for prompt in prompts]
    return [answer["choices"][0]["text"] for answer in await asyncio.gather(*tasks)]


def one(prompt):
    return asyncio.run(openai.Completion.acreate(model="m", prompt=prompt))["choices"][0]["text"]


def streamed(messages):
    collected = []
    for chunk in openai.ChatCompletion.create(model="m", messages=messages, stream=True):
        chunk_message = chunk["choices"][0]["delta"]
        collected.append(chunk_message)
    return "".join([part.get("content", "") for part in collected])


def stored(path, url):
    with open(path) as file:
        print(json.load(file)["choices"][0]["message"]["content"])
    return requests.post(url).json()["choices"][0]["message"]["content"]
