from vllm_connect import OpenAI

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}


def ask(client: OpenAI, messages, functions):
    client.chat.completions.create(messages=messages, functions=[WEATHER], function_call={"name": "weather"})
    client.chat.completions.create(messages=messages, functions=functions, function_call="auto")
