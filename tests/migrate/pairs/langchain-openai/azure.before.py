import os

from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings
from langchain_core.prompts import ChatPromptTemplate


def make() -> AzureChatOpenAI:
    return AzureChatOpenAI(
        azure_endpoint=os.environ["AZURE_OPENAI_ENDPOINT"],
        azure_deployment="gpt-4o",
        api_version="2024-06-01",
        api_key=os.environ["AZURE_OPENAI_API_KEY"],
        temperature=0,
    )


def embeddings():
    return AzureOpenAIEmbeddings(model="text-embedding-3-small", azure_deployment="small")
