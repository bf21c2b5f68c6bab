import os

from openai import OpenAI

a = OpenAI(base_url=os.getenv("LLM_URL", "https://api.openai.com/v1"))
b = OpenAI(base_url=os.environ.get("LLM_URL") or "https://api.openai.com/v1")
c = OpenAI(base_url=os.getenv("LLM_URL", "http://localhost:8000/v1"))
