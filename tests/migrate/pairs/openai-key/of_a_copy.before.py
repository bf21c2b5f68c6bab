import os

from openai import OpenAI

client = OpenAI()
slow = client.with_options(timeout=600, organization="org", base_url="https://api.openai.com/v1")
other = client.copy(api_key=os.environ["OPENAI_API_KEY"])
mine = client.with_options(api_key=os.environ["VLLM_API_KEY"], max_retries=1)
