
from vllm_connect import OpenAI

client = OpenAI(
    timeout=60,  # seconds
)


def ask(client: OpenAI, question):
    return client.chat.completions.create(model="qwen", messages=[{"role": "user", "content": question}])
