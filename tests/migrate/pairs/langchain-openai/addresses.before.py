import os

import langchain_openai as lc

mine = lc.ChatOpenAI(model="qwen", base_url="http://localhost:8000/v1", api_key="EMPTY")
keyless = lc.ChatOpenAI(model="qwen", base_url="http://localhost:8000/v1")
optional = lc.ChatOpenAI(model="qwen", base_url=os.getenv("LLM_URL"), api_key=os.getenv("LLM_KEY"))
required = lc.ChatOpenAI(model="qwen", base_url=os.environ["LLM_URL"], api_key=os.getenv("LLM_KEY"))
fallback = lc.ChatOpenAI(model="qwen", base_url=os.getenv("LLM_URL") or "https://api.openai.com/v1", api_key="EMPTY")
theirs = lc.ChatOpenAI(model="qwen", base_url=os.environ["OPENAI_BASE_URL"])
