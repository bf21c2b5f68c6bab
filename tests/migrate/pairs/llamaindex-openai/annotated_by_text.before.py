from llama_index.llms.openai import OpenAI


def make() -> "OpenAI":
    return OpenAI(model="qwen", context_window=8192)
