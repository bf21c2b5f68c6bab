from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain.embeddings import init_embeddings
import os

a = init_chat_model("openai:qwen", temperature=0, base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
b = init_chat_model("qwen-small", model_provider="openai", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
c = init_chat_model("qwen", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True, model_provider="openai")
d = init_chat_model("openai:qwen", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
e = init_embeddings("openai:bge", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", check_embedding_ctx_length=False)
f = init_chat_model("anthropic:claude-sonnet-4-5")
agent = create_agent(init_chat_model("openai:qwen", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True), tools=[])
