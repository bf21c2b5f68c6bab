from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.azure_openai import AzureOpenAI
from llama_index.llms.openai import OpenAI


def make(**options):
    return OpenAI(**options), OpenAIEmbedding("similarity"), AzureOpenAI(engine="chat", model="qwen")
