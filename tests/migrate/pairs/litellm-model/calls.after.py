import os

import litellm
from litellm import acompletion, completion, embedding

messages = [{"role": "user", "content": "Hello"}]
MODEL = "hosted_vllm/qwen"

completion(model="hosted_vllm/qwen", messages=messages, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
completion("hosted_vllm/qwen-small", messages, api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", temperature=0, api_base=os.environ["VLLM_BASE_URL"])
litellm.completion(model=MODEL, messages=messages, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
litellm.completion(model=f"hosted_vllm/{os.environ['DEPLOYMENT']}", messages=messages, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
embedding(model="hosted_vllm/bge", input=["a"], api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
litellm.text_completion(model="text-completion-openai/gpt-3.5-turbo-instruct", prompt="a", api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")


async def ask():
    return await acompletion(model="hosted_vllm/qwen", messages=messages, stream=True, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
