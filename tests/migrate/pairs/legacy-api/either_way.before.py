import os

import openai

if os.getenv("AZURE"):
    openai.api_type = "azure"
    openai.api_version = "2023-05-15"
    openai.api_key = os.environ["AZURE_OPENAI_KEY"]
    openai.api_base = os.environ["AZURE_OPENAI_ENDPOINT"]
else:
    openai.api_key = "EMPTY"
    openai.api_base = "http://localhost:8000/v1"


def ask(prompt):
    return openai.Completion.create(model="m", prompt=prompt).choices[0].text
