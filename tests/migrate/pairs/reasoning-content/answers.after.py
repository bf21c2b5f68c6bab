from vllm_connect import AsyncOpenAI, OpenAI


def ask(client: OpenAI, messages):
    answer = client.chat.completions.create(messages=messages)
    message = answer.choices[0].message
    print(message.reasoning, message.content)
    return getattr(message, "reasoning", None)


def stream(client: OpenAI, messages):
    for chunk in client.chat.completions.create(messages=messages, stream=True):
        delta = chunk.choices[0].delta
        if hasattr(delta, 'reasoning'):
            print(delta.reasoning, end="")


async def later(client: AsyncOpenAI, messages):
    stream = await client.chat.completions.create(messages=messages, stream=True)
    return [chunk.choices[0].delta.reasoning async for chunk in stream]
