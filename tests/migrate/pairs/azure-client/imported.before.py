import os

from openai import AzureOpenAI

client = AzureOpenAI(
    azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
    api_key=os.environ["AZURE_OPENAI_API_KEY"],
    api_version="2024-06-01",
    timeout=60,  # seconds
)


def ask(client: AzureOpenAI, question):
    return client.chat.completions.create(model="qwen", messages=[{"role": "user", "content": question}])
