import os

from openai import OpenAI

client = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
answer = client.chat.completions.create(
    model="qwen",
    messages=[{"role": "user", "content": "Say hello."}],
    temperature=0,
)
print(answer.choices[0].message.content)
