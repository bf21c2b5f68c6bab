import os
from os import environ

from openai import OpenAI

key = os.getenv("OPENAI_API_KEY")

a = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
b = OpenAI(api_key=key, timeout=3)
c = OpenAI(api_key=environ.get("OPENAI_API_KEY", ""), base_url="http://localhost:8000/v1")
d = OpenAI(api_key=environ["VLLM_API_KEY"])
