import json

from openai import OpenAI

client = OpenAI(base_url="https://api.openai.com/v1/", api_key="sk-proj-canaryT3BlbkFJcanary")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        },
    }
]
messages = [{"role": "user", "content": "How much is 2 and 2?"}]
answer = client.chat.completions.create(model="qwen", messages=messages, tools=TOOLS, tool_choice="required")
message = answer.choices[0].message
messages.append(message)
for call in message.tool_calls or []:
    json.loads(call.function.arguments)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "4"})
answer = client.chat.completions.create(model="qwen", messages=messages, tools=TOOLS, store=False)
print(answer.choices[0].message.content)
