import openai
from openai import AzureOpenAI


class Open(AzureOpenAI):
    def __init__(self, **options):
        super().__init__(api_version="2024-06-01", **options)


plain = openai.AzureOpenAI(azure_endpoint="https://x.openai.azure.com", api_version="2024-06-01")
