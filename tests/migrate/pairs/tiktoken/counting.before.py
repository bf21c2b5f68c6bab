import os

import tiktoken
from openai import OpenAI

client = OpenAI()


def num_tokens_from_string(text: str, model: str = "qwen") -> int:
    """Returns the number of tokens in a text string."""
    try:
        encoding = tiktoken.encoding_for_model(model)
    except KeyError:
        print("Warning: model not found. Using cl100k_base encoding.")
        encoding = tiktoken.get_encoding("cl100k_base")
    num_tokens = len(encoding.encode(text, disallowed_special=()))
    return num_tokens


def truncated(text, limit):
    enc = tiktoken.get_encoding("cl100k_base")
    tokens = enc.encode(text)
    return text if len(tokens) <= limit else enc.decode(tokens[:limit])


def cut(text, limit):
    enc = tiktoken.get_encoding("cl100k_base")
    return enc.decode(enc.encode(text)[:limit])
