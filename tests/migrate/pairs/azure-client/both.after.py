from openai import OpenAIError
from vllm_connect import AsyncOpenAI


def make(is_azure, token):
    if is_azure:
        return AsyncOpenAI()
    return AsyncOpenAI()
