from openai import AsyncAzureOpenAI, AsyncOpenAI, OpenAIError


def make(is_azure, token):
    if is_azure:
        return AsyncAzureOpenAI(azure_deployment="chat", azure_ad_token_provider=token, api_version="2024-06-01")
    return AsyncOpenAI()
