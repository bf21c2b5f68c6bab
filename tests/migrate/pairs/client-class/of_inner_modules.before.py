import openai.lib.azure
import openai.types.chat

client = openai.OpenAI(organization="org")


def shown(answer: openai.types.chat.ChatCompletion):
    return openai.lib.azure.AzureOpenAI(api_version="2024-06-01")
