import os

import openai

openai.api_key = "EMPTY"
openai.api_base = os.environ["VLLM_BASE_URL"]


def stream(prompt):
    completion = openai.ChatCompletion.create(
        model="qwen",
        messages=[{"role": "user", "content": prompt}],
        stream=True,
        max_tokens=8,
        request_timeout=(5, 30),
    )
    for chunk in completion:
        delta = chunk["choices"][0]["delta"]
        if "role" in delta:
            assert delta["role"] == "assistant"
        if "content" in delta:
            yield delta["content"]
        if chunk["choices"][0].get("finish_reason"):
            return


print("".join(stream("Say hello.")))
text = ""
for chunk in openai.Completion.create(engine="qwen", prompt="Once", stream=True, max_tokens=4):
    text += chunk["choices"][0].get("text", "")
assert text

collected = []
for chunk in openai.ChatCompletion.create(
    model="qwen", messages=[{"role": "user", "content": "Say hello."}], stream=True, max_tokens=4
):
    collected.append(chunk["choices"][0]["delta"])
assert "".join([part.get("content", "") for part in collected])
