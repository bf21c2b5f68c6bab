from langchain_openai import OpenAIEmbeddings

a = OpenAIEmbeddings(model="text-embedding-3-small")
b = OpenAIEmbeddings(model="bge", base_url="http://localhost:8000/v1", api_key="EMPTY")
c = OpenAIEmbeddings(
    model="bge", base_url="http://localhost:8000/v1", api_key="EMPTY", check_embedding_ctx_length=True
)
