import os
from os import environ

from vllm_connect import OpenAI

key = os.getenv("OPENAI_API_KEY")

a = OpenAI()
b = OpenAI(timeout=3)
c = OpenAI(base_url="http://localhost:8000/v1")
d = OpenAI(api_key=environ["VLLM_API_KEY"])
