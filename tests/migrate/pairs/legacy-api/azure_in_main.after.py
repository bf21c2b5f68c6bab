
from vllm_connect import OpenAI


def main():
    client = OpenAI()
    print(client.models.list())
    print(client.embeddings.create(input="x", model="bge"))
