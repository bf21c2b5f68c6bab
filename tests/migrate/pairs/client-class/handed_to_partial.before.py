import asyncio
import functools
from functools import partial

from openai import OpenAI

make = partial(OpenAI, organization="org", base_url="https://api.openai.com/v1")
client = make()
ask = functools.partial(client.chat.completions.create, model="gpt-4o", extra_body={"guided_regex": "a"})


async def main(pool):
    ask(messages=[], extra_body={"guided_regex": "b"})
    await asyncio.to_thread(client.completions.create, prompt="", extra_body={"guided_regex": "c"})
    pool.submit(client.completions.create, prompt="", extra_body={"guided_regex": "d"})
    pool.submit(print, "", extra_body={"guided_regex": "e"})
