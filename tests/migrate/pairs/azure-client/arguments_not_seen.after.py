from openai import AzureOpenAI
from vllm_connect import OpenAI


def make(**options):
    return AzureOpenAI(api_version="2024-06-01", **options), OpenAI(**options)
