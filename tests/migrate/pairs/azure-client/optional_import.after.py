try:
    from vllm_connect import OpenAI as AzureOpenAI
except ImportError:
    AzureOpenAI = None


def make():
    return AzureOpenAI()
