from agents import Agent
from langchain.chat_models import init_chat_model
from langchain_openai import ChatOpenAI
from litellm import completion
from pydantic_ai import Agent as Typed
import os

init_chat_model("openai:gpt-4.1", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
ChatOpenAI(base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
completion(model="hosted_vllm/o3-mini", messages=[], api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
Typed("vllm:gpt-4.1")
Agent(name="a", model="openai/gpt-4.1")
