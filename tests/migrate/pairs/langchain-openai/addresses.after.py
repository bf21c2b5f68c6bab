import os

import langchain_openai as lc

mine = lc.ChatOpenAI(model="qwen", base_url="http://localhost:8000/v1", api_key="EMPTY")
keyless = lc.ChatOpenAI(model="qwen", base_url="http://localhost:8000/v1", api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
optional = lc.ChatOpenAI(model="qwen", base_url=os.environ["LLM_URL"], api_key=os.getenv("LLM_KEY") or "EMPTY", stream_usage=True)
required = lc.ChatOpenAI(model="qwen", base_url=os.environ["LLM_URL"], api_key=os.getenv("LLM_KEY") or "EMPTY")
fallback = lc.ChatOpenAI(model="qwen", base_url=os.environ["LLM_URL"], api_key="EMPTY", stream_usage=True)
theirs = lc.ChatOpenAI(model="qwen", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
