"""What vLLM's own routes answer, as the SDK's kind of model: fields that a server adds are in `model_extra`."""

from __future__ import annotations

from openai import BaseModel

__all__ = ["Tokenization"]


class Tokenization(BaseModel):
    """The tokens of a prompt: how many, their ids, and the pieces of text they stand for where asked for.

    `max_model_len` is the context of the model in tokens.
    """

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None
