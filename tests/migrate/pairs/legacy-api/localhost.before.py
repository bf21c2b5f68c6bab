import os

import openai

# Modify OpenAI's API key and API base to use vLLM's API server.
openai.api_key = "EMPTY"
openai.api_base = "http://localhost:8000/v1"


def ask(question):
    answer = openai.ChatCompletion.create(
        engine="qwen",
        messages=[{"role": "user", "content": question}],
        request_timeout=10,  # seconds
    )
    return answer.choices[0].message.content


async def later(question):
    return await openai.ChatCompletion.acreate(model="qwen", messages=[{"role": "user", "content": question}])
