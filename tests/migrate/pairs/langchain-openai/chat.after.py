import os

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

llm = ChatOpenAI(model="qwen", temperature=0, base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
keyed = ChatOpenAI(
    model="qwen",
    api_key=os.environ.get("VLLM_API_KEY") or "EMPTY",
    timeout=30,  # seconds
    base_url=os.environ["VLLM_BASE_URL"],
    stream_usage=True,
)
named = ChatOpenAI(model="qwen", openai_api_base=os.environ["VLLM_BASE_URL"], openai_api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
