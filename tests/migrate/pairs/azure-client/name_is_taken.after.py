from vllm_connect import OpenAI as AzureOpenAI
from mylibrary import OpenAI

clients = [AzureOpenAI(), OpenAI()]
