import asyncio

import litellm
from litellm import acompletion, completion

MODEL = "openai/gpt-4o"
messages = [{"role": "user", "content": "What is vLLM?"}]

answer = completion(model="gpt-4o-mini", messages=messages, temperature=0, max_tokens=16)
print(answer.choices[0].message.content)
print(litellm.text_completion(model="text-completion-openai/gpt-4o", prompt="vLLM is", max_tokens=8).choices[0].text)


async def main():
    async for chunk in await acompletion(model=MODEL, messages=messages, stream=True):
        print(chunk.choices[0].delta.content or "", end="")


asyncio.run(main())
