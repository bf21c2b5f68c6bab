from llama_index.core import Settings, VectorStoreIndex

from models import embed_model, llm

Settings.llm = llm
index = VectorStoreIndex.from_documents([], embed_model=embed_model)
