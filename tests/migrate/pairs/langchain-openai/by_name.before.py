from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain.embeddings import init_embeddings

a = init_chat_model("openai:gpt-4o", temperature=0)
b = init_chat_model("gpt-4o-mini", model_provider="openai")
c = init_chat_model("gpt-4o")
d = init_chat_model("azure_openai:gpt-4o", azure_deployment="chat", api_version="2024-06-01")
e = init_embeddings("openai:text-embedding-3-small")
f = init_chat_model("anthropic:claude-sonnet-4-5")
agent = create_agent("openai:gpt-4o", tools=[])
