from llama_index.llms.openai_like import OpenAILike

a = OpenAILike(model="qwen", api_base="http://localhost:8000/v1", api_key="EMPTY", is_chat_model=True)
b = OpenAILike(model="qwen", api_base="http://localhost:8000/v1", is_chat_model=True, context_window=32768)
