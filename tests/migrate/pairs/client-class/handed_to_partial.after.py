import asyncio
import functools
from functools import partial

from vllm_connect import OpenAI

make = partial(OpenAI)
client = make()
ask = functools.partial(client.chat.completions.create, model="qwen", extra_body={"structured_outputs": {"regex": "a"}})


async def main(pool):
    ask(messages=[], extra_body={"structured_outputs": {"regex": "b"}})
    await asyncio.to_thread(client.completions.create, prompt="", extra_body={"structured_outputs": {"regex": "c"}})
    pool.submit(client.completions.create, prompt="", extra_body={"structured_outputs": {"regex": "d"}})
    pool.submit(print, "", extra_body={"guided_regex": "e"})
