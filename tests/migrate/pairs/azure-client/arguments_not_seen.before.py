from openai import AzureOpenAI, OpenAI


def make(**options):
    return AzureOpenAI(api_version="2024-06-01", **options), OpenAI(**options)
