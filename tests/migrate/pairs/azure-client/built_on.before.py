from openai import AzureOpenAI, OpenAI


class Ours(OpenAI):
    def __init__(self, **options):
        super().__init__(organization="org", **options)


class Azures(AzureOpenAI):
    def __init__(self, name):
        super().__init__(azure_endpoint=f"https://{name}.openai.azure.com", api_version="2024-06-01")


class Named(AzureOpenAI):
    region = "north"


def is_azure(client):
    return isinstance(client, AzureOpenAI)
