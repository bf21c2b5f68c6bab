import os

import litellm
from litellm import acompletion, completion, embedding

messages = [{"role": "user", "content": "Hello"}]
MODEL = "openai/gpt-4o"

completion(model="gpt-4o", messages=messages)
completion("openai/gpt-4o-mini", messages, api_key=os.environ["OPENAI_API_KEY"], temperature=0)
litellm.completion(model=MODEL, messages=messages)
litellm.completion(model=f"azure/{os.environ['DEPLOYMENT']}", messages=messages, api_base=os.environ["AZURE_API_BASE"], api_version="2024-06-01")
embedding(model="text-embedding-3-small", input=["a"])
litellm.text_completion(model="gpt-3.5-turbo-instruct", prompt="a")


async def ask():
    return await acompletion(model="gpt-4o", messages=messages, stream=True)
