import os

from vllm_connect import OpenAI

a = OpenAI(base_url=os.getenv("LLM_URL"))
b = OpenAI(base_url=os.environ.get("LLM_URL"))
c = OpenAI(base_url=os.getenv("LLM_URL", "http://localhost:8000/v1"))
