import os

from vllm_connect import OpenAI

client = OpenAI()
slow = client.with_options(timeout=600)
other = client.copy()
mine = client.with_options(api_key=os.environ["VLLM_API_KEY"], max_retries=1)
