import os

import openai


def main():
    openai.api_type = "azure"
    openai.api_base = os.environ["AZURE_OPENAI_ENDPOINT"]
    openai.api_version = "2023-05-15"
    openai.api_key = os.environ["AZURE_OPENAI_API_KEY"]
    print(openai.Model.list())
    print(openai.Embedding.create(input="x", deployment_id="bge", api_version="2023-05-15"))
