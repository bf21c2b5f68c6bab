"""Asks gpt-4o."""
import argparse
import os
from dataclasses import dataclass, field
from typing import Literal

from vllm_connect import OpenAI

MODEL = "gpt-4o"
CHEAP, DEAR = 'gpt-4o-mini', r"gpt-4o"
CONFIG = {"chat": {"model": "gpt-4o", "temperature": 0}, "models": ["gpt-4o", "gpt-4o-mini"]}
PROMPT = "You are gpt-4o, a large language model."


@dataclass
class Settings:
    model: Literal["gpt-4o", "gpt-4o-mini"] = "gpt-4o"
    embedding_model: str = field(default="text-embedding-3-small")


def ask(client: OpenAI, question, model="gpt-4o", fallback=None):
    """gpt-4o"""
    return client.chat.completions.create(
        model=model or fallback or "gpt-4o-mini",  # gpt-4o
        messages=[{"role": "user", "content": question}, {"role": "user", "content": "Are you gpt-4o" ", or not?"}],
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="gpt-4o", choices=["gpt-4o", "gpt-4o-mini"], help="such as gpt-4o")
    print(parser.parse_args().model, os.getenv("OPENAI_MODEL", "gpt-4o"))
