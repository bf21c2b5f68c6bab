from vllm_connect import OpenAI


def make(OpenAI):
    return OpenAI(organization="not OpenAI's")


real = OpenAI()
