from vllm_connect import OpenAI


def ask(client: OpenAI, messages, functions):
    answer = client.chat.completions.create(messages=messages, functions=functions)
    called = answer.choices[0].message.function_call
    messages.append({"role": "function", "name": called.name, "content": "42"})
