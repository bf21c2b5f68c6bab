from llama_index.llms.openai_like import OpenAILike as OpenAI
import os


def make() -> "OpenAI":
    return OpenAI(model="qwen", context_window=8192, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", is_chat_model=True, is_function_calling_model=True, should_use_structured_outputs=True)
