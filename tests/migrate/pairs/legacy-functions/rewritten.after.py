from vllm_connect import OpenAI

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}


def ask(client: OpenAI, messages, functions):
    client.chat.completions.create(messages=messages, tools=[{"type": "function", "function": WEATHER}], tool_choice={"type": "function", "function": {"name": "weather"}})
    client.chat.completions.create(messages=messages, tools=[{"type": "function", "function": function} for function in functions], tool_choice="auto")
