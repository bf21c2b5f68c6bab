from llama_index.core import Settings
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
import os

Settings.llm = OpenAILike(model="qwen", temperature=0.1, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", is_chat_model=True, is_function_calling_model=True, should_use_structured_outputs=True)
Settings.embed_model = OpenAILikeEmbedding(model_name="bge", api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
other = OpenAILike("qwen-small", api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", api_base="http://localhost:8000/v1", context_window=8192, is_chat_model=True, is_function_calling_model=True, should_use_structured_outputs=True)
completions = OpenAILike(model="gpt-3.5-turbo-instruct", api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
