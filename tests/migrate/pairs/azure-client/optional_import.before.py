try:
    from openai import AzureOpenAI
except ImportError:
    AzureOpenAI = None


def make():
    return AzureOpenAI(azure_endpoint="https://x.openai.azure.com", api_version="2024-06-01")
