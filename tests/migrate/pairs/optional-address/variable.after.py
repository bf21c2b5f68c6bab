import os
from os import environ, getenv

from vllm_connect import OpenAI

URL = getenv("LLM_URL")

a = OpenAI(base_url=os.getenv("VLLM_BASE_URL"))
b = OpenAI(base_url=URL)
c = OpenAI(base_url=environ.get("LLM_URL", None))
d = OpenAI(base_url=environ["LLM_URL"])
e = OpenAI(base_url=os.getenv("LLM_URL", "http://localhost:8000"))
