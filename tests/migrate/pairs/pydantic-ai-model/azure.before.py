import os

from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.azure import AzureProvider

model = OpenAIChatModel(
    "qwen",
    provider=AzureProvider(
        azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
        api_version="2024-06-01",
        api_key=os.environ["AZURE_OPENAI_API_KEY"],
    ),
)
