import os

from langchain_openai import ChatOpenAI

url = os.getenv("LLM_URL")
key = os.getenv("LLM_KEY")
a = ChatOpenAI(model="qwen", base_url=url, api_key=key)
b = ChatOpenAI(model="qwen", base_url="http://localhost:8000/v1", api_key=os.getenv("VLLM_API_KEY"))


def make(base_url=None, api_key=None):
    return ChatOpenAI(model="qwen", base_url=base_url, api_key=api_key)


def remake(base_url, api_key):
    return ChatOpenAI(model="qwen", base_url=base_url, api_key=api_key)
