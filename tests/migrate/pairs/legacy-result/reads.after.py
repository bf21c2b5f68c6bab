import json

from vllm_connect import OpenAI

client = OpenAI()


def result():
    return client.chat.completions.create(messages=[{"role": "user", "content": "Hi."}])


def main():
    response = result()
    print(response.choices[0].message.content, response.usage.total_tokens)
    for number, choice in enumerate(response.choices):
        print(number, choice.finish_reason, choice.message.content or "")
    for call in response.choices[0].message.tool_calls or []:
        print(json.loads(call.function.arguments))
    response.choices[0].message.content = "Changed."
