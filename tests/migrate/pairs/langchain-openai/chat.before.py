import os

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

llm = ChatOpenAI(model="gpt-4o", temperature=0)
keyed = ChatOpenAI(
    model="gpt-4o",
    api_key=os.environ["OPENAI_API_KEY"],
    organization="org-1",
    timeout=30,  # seconds
)
named = ChatOpenAI(model="qwen", openai_api_base="https://api.openai.com/v1", openai_api_key=os.getenv("OPENAI_API_KEY"))
