from openai import AzureOpenAI


def ask(client: "AzureOpenAI"):
    return client.models.list()
