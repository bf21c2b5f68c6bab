"""Vectors as they are written: one format a function, each streaming, so that memory does not grow with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vllm_connect.cli.failure import Failure

__all__ = ["FORMATS", "Embedded", "Format", "embedded"]

Format = Literal["short", "jsonl", "json", "csv"]
FEW = 4


@dataclass(frozen=True)
class Embedded:
    """The vectors of one request in the order of its texts, and what the server said with them."""

    model: str
    vectors: Sequence[Sequence[float]]
    prompt_tokens: int


def embedded(response: Any, texts: int) -> Embedded:
    """Return the vectors of an answer to so many texts; raises Failure where it is not one each."""
    entries = response.data if isinstance(response.data, list) else []
    by_index = {entry.index: entry.embedding for entry in entries}
    vectors = [by_index.get(index) for index in range(texts)]
    if len(entries) != texts or not all(map(_is_vector, vectors)):
        raise Failure(
            f"the server answered {texts} texts with {len(entries)} entries that are not a vector for each"
        )
    tokens = getattr(response.usage, "prompt_tokens", 0)
    return Embedded(str(response.model), vectors, tokens if isinstance(tokens, int) else 0)  # type: ignore[arg-type]  # just checked


def _is_vector(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, float | int) and math.isfinite(one) for one in value)
    )


def _number(value: float) -> str:
    """Return a number of float32 as the shortest text that gives the same number again."""
    return f"{value:.9g}"


def _list(vector: Sequence[float]) -> str:
    return f"[{', '.join(map(_number, vector))}]"


def _jsonl(answers: Iterable[Embedded]) -> Iterator[str]:
    index = 0
    for answer in answers:
        for vector in answer.vectors:
            yield f'{{"index": {index}, "embedding": {_list(vector)}}}\n'
            index += 1


def _json(answers: Iterable[Embedded]) -> Iterator[str]:
    model, tokens, before = "", 0, "\n  "
    yield '{"embeddings": ['
    for answer in answers:
        model, tokens = answer.model, tokens + answer.prompt_tokens
        for vector in answer.vectors:
            yield before + _list(vector)
            before = ",\n  "
    yield f'\n], "model": {json.dumps(model)}, "usage": {{"prompt_tokens": {tokens}}}}}\n'


def _csv(answers: Iterable[Embedded]) -> Iterator[str]:
    for answer in answers:
        for vector in answer.vectors:
            yield ",".join(map(_number, vector)) + "\n"


def _short(answers: Iterable[Embedded]) -> Iterator[str]:
    index = 0
    for answer in answers:
        for vector in answer.vectors:
            first = ", ".join(f"{value:.4f}" for value in vector[:FEW])
            more = ", ..." if len(vector) > FEW else ""
            yield f"{index}: {len(vector)} numbers, length {math.hypot(*vector):.4f}: {first}{more}\n"
            index += 1


FORMATS: dict[Format, Callable[[Iterable[Embedded]], Iterator[str]]] = {
    "short": _short,
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
}
