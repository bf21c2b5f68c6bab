import os
from vllm_connect import OpenAI

client = OpenAI()


def num_tokens_from_string(text: str, model: str = "qwen") -> int:
    """Returns the number of tokens in a text string."""
    num_tokens = client.server.tokenize(text, model=model, add_special_tokens=False).count
    return num_tokens


def truncated(text, limit):
    tokens = client.server.tokenize(text, add_special_tokens=False).tokens
    return text if len(tokens) <= limit else client.server.detokenize(tokens[:limit])


def cut(text, limit):
    return client.server.detokenize(client.server.tokenize(text, add_special_tokens=False).tokens[:limit])
