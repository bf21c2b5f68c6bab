from llama_index.core import Settings
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI

Settings.llm = OpenAI(model="gpt-4o", temperature=0.1)
Settings.embed_model = OpenAIEmbedding(model="text-embedding-3-small")
other = OpenAI("gpt-4o-mini", api_key="sk-proj-0123456789abcdef", api_base="http://localhost:8000/v1", context_window=8192)
completions = OpenAI(model="gpt-3.5-turbo-instruct")
