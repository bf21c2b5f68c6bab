import os

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_core.prompts import ChatPromptTemplate


def make() -> ChatOpenAI:
    return ChatOpenAI(
        model="qwen",
        api_key=os.environ.get("VLLM_API_KEY") or "EMPTY",
        temperature=0,
        base_url=os.environ["VLLM_BASE_URL"],
        stream_usage=True,
    )


def embeddings():
    return OpenAIEmbeddings(model="bge", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", check_embedding_ctx_length=False)
