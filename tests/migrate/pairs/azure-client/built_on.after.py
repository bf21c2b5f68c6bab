from vllm_connect import OpenAI


class Ours(OpenAI):
    def __init__(self, **options):
        super().__init__(**options)


class Azures(OpenAI):
    def __init__(self, name):
        super().__init__()


class Named(OpenAI):
    region = "north"


def is_azure(client):
    return isinstance(client, OpenAI)
