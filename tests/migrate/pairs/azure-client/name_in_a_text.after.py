from vllm_connect import OpenAI as AzureOpenAI


def ask(client: "AzureOpenAI"):
    return client.models.list()
