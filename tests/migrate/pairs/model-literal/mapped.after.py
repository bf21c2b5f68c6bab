"""Asks gpt-4o."""
import argparse
import os
from dataclasses import dataclass, field
from typing import Literal

from vllm_connect import OpenAI

MODEL = "qwen"
CHEAP, DEAR = 'qwen-small', "qwen"
CONFIG = {"chat": {"model": "qwen", "temperature": 0}, "models": ["qwen", "qwen-small"]}
PROMPT = "You are gpt-4o, a large language model."


@dataclass
class Settings:
    model: Literal["qwen", "qwen-small"] = "qwen"
    embedding_model: str = field(default="bge")


def ask(client: OpenAI, question, model="qwen", fallback=None):
    """gpt-4o"""
    return client.chat.completions.create(
        model=model or fallback or "qwen-small",  # gpt-4o
        messages=[{"role": "user", "content": question}, {"role": "user", "content": "Are you gpt-4o" ", or not?"}],
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qwen", choices=["qwen", "qwen-small"], help="such as gpt-4o")
    print(parser.parse_args().model, os.getenv("OPENAI_MODEL", "qwen"))
