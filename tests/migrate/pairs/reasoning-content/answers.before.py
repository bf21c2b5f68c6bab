from vllm_connect import AsyncOpenAI, OpenAI


def ask(client: OpenAI, messages):
    answer = client.chat.completions.create(messages=messages)
    message = answer.choices[0].message
    print(message.reasoning_content, message.content)
    return getattr(message, "reasoning_content", None)


def stream(client: OpenAI, messages):
    for chunk in client.chat.completions.create(messages=messages, stream=True):
        delta = chunk.choices[0].delta
        if hasattr(delta, 'reasoning_content'):
            print(delta.reasoning_content, end="")


async def later(client: AsyncOpenAI, messages):
    stream = await client.chat.completions.create(messages=messages, stream=True)
    return [chunk.choices[0].delta.reasoning_content async for chunk in stream]
