from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings

store = InMemoryVectorStore(OpenAIEmbeddings(model="text-embedding-3-small"))
store.add_documents([Document("vLLM serves models."), Document("Bread is baked.")])
print(store.similarity_search("What serves models?", k=1)[0].page_content)
