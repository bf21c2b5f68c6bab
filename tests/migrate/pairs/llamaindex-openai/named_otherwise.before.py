from llama_index.llms.openai import OpenAI as LLM, Tokenizer


def make(tokenizer: Tokenizer) -> "LLM":
    return LLM(model="qwen")
