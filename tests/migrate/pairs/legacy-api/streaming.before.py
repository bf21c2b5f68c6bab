import sys

import openai

openai.api_key = "EMPTY"
openai.api_base = "http://localhost:8000/v1"

completion = openai.ChatCompletion.create(
    model="lmsys/vicuna-7b-v1.3",
    messages=[{"role": "user", "content": "Tell me a joke."}],
    stream=True,
)
text = ""
for chunk in completion:
    delta = chunk["choices"][0]["delta"]
    if "content" in delta:
        sys.stdout.write(delta["content"])
    text += delta.get("content", "")
    if chunk["choices"][0].get("finish_reason") is not None:
        break
