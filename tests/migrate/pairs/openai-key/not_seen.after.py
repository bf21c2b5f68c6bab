from vllm_connect import OpenAI


def make(key, settings):
    return OpenAI(api_key=key), OpenAI(), OpenAI(api_key=None)
