import os

from vllm_connect import OpenAI, AsyncOpenAI

# Modify OpenAI's API key and API base to use vLLM's API server.
client = OpenAI(api_key="EMPTY", base_url="http://localhost:8000/v1")
async_client = AsyncOpenAI(api_key="EMPTY", base_url="http://localhost:8000/v1")


def ask(question):
    answer = client.chat.completions.create(
        model="qwen",
        messages=[{"role": "user", "content": question}],
        timeout=10,  # seconds
    )
    return answer.choices[0].message.content


async def later(question):
    return await async_client.chat.completions.create(model="qwen", messages=[{"role": "user", "content": question}])
