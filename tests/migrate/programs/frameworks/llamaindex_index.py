from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.embeddings.openai import OpenAIEmbedding

Settings.llm = MockLLM()
Settings.embed_model = OpenAIEmbedding(model="text-embedding-3-small")
index = VectorStoreIndex.from_documents([Document(text="vLLM serves models."), Document(text="Bread is baked.")])
print(index.as_retriever(similarity_top_k=1).retrieve("What serves models?")[0].text)
