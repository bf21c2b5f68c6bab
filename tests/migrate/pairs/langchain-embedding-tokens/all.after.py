from langchain_openai import OpenAIEmbeddings
import os

a = OpenAIEmbeddings(model="bge", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", check_embedding_ctx_length=False)
b = OpenAIEmbeddings(model="bge", base_url="http://localhost:8000/v1", api_key="EMPTY", check_embedding_ctx_length=False)
c = OpenAIEmbeddings(
    model="bge", base_url="http://localhost:8000/v1", api_key="EMPTY", check_embedding_ctx_length=True
)
