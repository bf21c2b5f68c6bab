from openai import AzureOpenAI
from mylibrary import OpenAI

clients = [AzureOpenAI(azure_endpoint="https://x.openai.azure.com"), OpenAI()]
