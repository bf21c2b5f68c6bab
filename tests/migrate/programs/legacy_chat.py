import os

import openai

openai.api_key = os.getenv("OPENAI_API_KEY")
openai.organization = os.getenv("OPENAI_ORG_ID")

history = [{"role": "system", "content": "You are brief."}]


def ask(question):
    history.append({"role": "user", "content": question})
    response = openai.ChatCompletion.create(model="qwen", messages=history, temperature=0.7, max_tokens=16)
    message = response["choices"][0]["message"]
    history.append(message)
    return message["content"], response["usage"]["total_tokens"]


for question in ("Say hello.", "And again."):
    answer, tokens = ask(question)
    assert answer and tokens > 0
    assert history[-1]["role"] == "assistant" and history[-1]["content"] == answer
