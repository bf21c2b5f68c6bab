from langchain_openai import ChatOpenAI

os = "linux"
llm = ChatOpenAI(model="qwen")
