import sys

from vllm_connect import OpenAI

client = OpenAI(api_key="EMPTY", base_url="http://localhost:8000/v1")

completion = client.chat.completions.create(
    model="lmsys/vicuna-7b-v1.3",
    messages=[{"role": "user", "content": "Tell me a joke."}],
    stream=True,
)
text = ""
for chunk in completion:
    delta = chunk.choices[0].delta
    if delta.content is not None:
        sys.stdout.write(delta.content)
    text += delta.content or ""
    if chunk.choices[0].finish_reason is not None:
        break
