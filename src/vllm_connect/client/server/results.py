"""What vLLM's own routes answer, as the SDK's kind of model: fields that a server adds are in `model_extra`.

Required is what a call is for; what else vLLM sends may be missing behind a gateway.
"""

from __future__ import annotations

from typing import Any

from openai import BaseModel

__all__ = [
    "Classification",
    "Classified",
    "Document",
    "FromModel",
    "Pooled",
    "Pooling",
    "Ranked",
    "Ranking",
    "Score",
    "Scores",
    "Tokenization",
    "Usage",
]


class Tokenization(BaseModel):
    """The tokens of a prompt: how many, their ids, and the pieces of text they stand for where asked for.

    `max_model_len` is the context of the model in tokens.
    """

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class Usage(BaseModel):
    """The tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class FromModel(BaseModel):
    """What every answer of a model says of itself; `created` is in seconds since 1970."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: Usage | None = None


class Score(BaseModel):
    """The score of pair number `index`; what its size means is the model's."""

    index: int
    score: float


class Scores(FromModel):
    """One score for each pair, in the order of the pairs."""

    data: list[Score]


class Document(BaseModel):
    """A document as it was given: its text, or its parts where they are not text alone."""

    text: str | None = None
    multi_modal: list[Any] | None = None


class Ranked(BaseModel):
    """One document, with its number among those given and how well it answers the query."""

    index: int
    relevance_score: float
    document: Document | None = None


class Ranking(FromModel):
    """The documents, best first."""

    results: list[Ranked]


class Classified(BaseModel):
    """The class of input number `index`: its label where the model has names, and the probability of each class."""

    index: int
    label: str | None = None
    probs: list[float]
    num_classes: int


class Classification(FromModel):
    """One class for each input, in the order of the inputs."""

    data: list[Classified]


class Pooled(BaseModel):
    """What the pooler made of input number `index`: a vector, a vector for each token, or base64 where asked for."""

    index: int
    data: list[float] | list[list[float]] | str


class Pooling(FromModel):
    """One output for each input, in the order of the inputs."""

    data: list[Pooled]
