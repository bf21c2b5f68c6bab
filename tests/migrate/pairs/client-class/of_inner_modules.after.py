import openai.lib.azure
import vllm_connect
import openai.types.chat

client = vllm_connect.OpenAI()


def shown(answer: openai.types.chat.ChatCompletion):
    return openai.lib.azure.AzureOpenAI(api_version="2024-06-01")
