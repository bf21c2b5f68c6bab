import os

import vllm_connect


def main():
    client = vllm_connect.OpenAI()
    print(client.models.list())
    print(client.embeddings.create(input="x", model="bge"))
