from agents import Agent
from langchain.chat_models import init_chat_model
from langchain_openai import ChatOpenAI
from litellm import completion
from pydantic_ai import Agent as Typed

init_chat_model("openai:gpt-4.1")
ChatOpenAI()
completion(model="o3-mini", messages=[])
Typed("openai:gpt-4.1")
Agent(name="a", model="openai/gpt-4.1")
