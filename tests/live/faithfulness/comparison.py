"""What of two answers to one request is compared, and how they differ; pure.

Texts, numbers and ids of a made-up model cannot be those of a real one: of JSON its keys and types are compared, and
the values that have a meaning to a client; of an error everything.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

# Values of these keys come from a closed set, or from the request: a client acts on them.
TELLING_KEYS = frozenset(
    {
        "finish_reason",
        "object",
        "role",
        "stop_reason",
        "type",
        "model",
        "status",
        "owned_by",
        "parent",
        "version",
    }
)
# Keys of these objects are tokens of the model.
OF_TOKENS = frozenset({"top_logprobs", "prompt_logprobs"})
# These headers vary with time and with the length of made-up texts.
UNCOMPARED_HEADERS = frozenset({"date", "content-length"})
HEADERS_WITHOUT_VALUE = frozenset({"metadata", "x-request-id", "location"})
# In error texts: numbers of the model's tokenizer, and a list that vLLM makes of a set, in an order of each start.
UNCOMPARED_WORDS = re.compile(
    r"(?<=Vocabulary size: )\d+|(?<=more than )\d+(?= characters)|(?<=Supported tasks: )\[[^]]*\]"
)


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def differences(real: Answer, simulated: Answer) -> list[str]:
    """Say how the answers differ, in words; nothing where they do not."""
    found = [
        f"{name}: real {ours!r}, simulated {theirs!r}"
        for name, ours, theirs in (
            ("status", real.status, simulated.status),
            ("headers", _headers(real), _headers(simulated)),
        )
        if ours != theirs
    ]
    return found + list(_unequal("body", _body(real), _body(simulated)))


def _headers(answer: Answer) -> dict[str, str]:
    named = {name.lower(): value for name, value in answer.headers.items()}
    return {
        name: "…" if name in HEADERS_WITHOUT_VALUE else value
        for name, value in sorted(named.items())
        if name not in UNCOMPARED_HEADERS
    }


def _body(answer: Answer) -> Any:
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        return list(_frames(answer.body))
    if kind.startswith("application/json") and answer.body:
        return shape(json.loads(answer.body))
    return f"{len(answer.body)} bytes" if kind == "application/octet-stream" else answer.body


def _frames(body: bytes) -> Iterator[Any]:
    """Yield the shapes of a stream's events, those of each choice together.

    Equal ones in a row are one: load decides how many tokens a chunk carries, and which choice is next.
    """
    frames = sorted((_frame(text) for text in body.decode().split("\n\n")), key=lambda frame: frame[0])
    return (one for one, _ in groupby(content for _, content in frames))


def _frame(text: str) -> tuple[float, Any]:
    """Return the choice that an event belongs to, and its shape; what belongs to none stays behind them all."""
    event, _, data = f"\n{text}".partition("\ndata: ")
    if not data.startswith("{"):
        return math.inf, text
    content = json.loads(data)
    choices = content.get("choices")
    return choices[0]["index"] if choices else math.inf, (event, shape(content))


def shape(value: Any, key: str = "") -> Any:
    """Return keys and types of JSON, an error whole."""
    match value:
        case {"error": {"message": str(message), **error}}:
            return {"error": {"message": UNCOMPARED_WORDS.sub("…", message), **error}}
        case dict() if key in OF_TOKENS:
            return {"<token>": shape(next(iter(value.values()), None))}
        case dict():
            return {name: shape(item, name) for name, item in value.items()}
        case list():
            return _without_repeats([shape(item, key) for item in value])
        case str() | None if key in TELLING_KEYS:
            return value
        case _:
            return type(value).__name__


def _without_repeats(shapes: list[Any]) -> list[Any]:
    return [one for place, one in enumerate(shapes) if one not in shapes[:place]]


def _unequal(path: str, real: Any, simulated: Any) -> Iterator[str]:
    """Yield the places where two shapes differ."""
    if isinstance(real, dict) and isinstance(simulated, dict):
        for key in real | simulated:
            if key not in simulated:
                yield f"{path}.{key}: only real has it"
            elif key not in real:
                yield f"{path}.{key}: only simulated has it"
            else:
                yield from _unequal(f"{path}.{key}", real[key], simulated[key])
    elif (
        isinstance(real, list | tuple) and isinstance(simulated, list | tuple) and len(real) == len(simulated)
    ):
        for place, (one, other) in enumerate(zip(real, simulated, strict=True)):
            yield from _unequal(f"{path}[{place}]", one, other)
    elif real != simulated:
        yield f"{path}: real {real!r}, simulated {simulated!r}"
