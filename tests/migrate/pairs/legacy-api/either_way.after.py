import os

from vllm_connect import OpenAI

client = OpenAI()

if os.getenv("AZURE"):
    client = OpenAI()
else:
    client = OpenAI(api_key="EMPTY", base_url="http://localhost:8000/v1")


def ask(prompt):
    return client.completions.create(model="m", prompt=prompt).choices[0].text
