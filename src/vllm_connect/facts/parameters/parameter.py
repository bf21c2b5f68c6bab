"""One request parameter as a fact: what it is, since when, and what becomes of it on a vLLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

__all__ = ["TABLE_VERSION", "UNKNOWN_FIELDS", "Effect", "Loss", "Parameter", "RequestKind"]

# The release that the table was written for, and is tested with.
TABLE_VERSION = "0.32.0"

RequestKind = Literal["chat", "completions", "embeddings", "responses"]
# What a server does with fields that it does not know, in pydantic's words, from each release on: "forbid" is a 400, with
# the others it answers as if they were not there. `./dev proof releases` compares it with the sources.
UNKNOWN_FIELDS: Mapping[RequestKind, Mapping[str, str]] = {
    "chat": {"0.0.1": "ignore", "0.4.2": "forbid", "0.6.5": "allow"},
    "completions": {"0.0.1": "ignore", "0.4.2": "forbid", "0.6.5": "allow"},
    "embeddings": {"0.4.3": "ignore", "0.5.3": "forbid", "0.6.5": "allow"},
    "responses": {"0.10.0": "allow"},
}
# What the newest vLLM that was looked at does with it.
Effect = Literal["honours", "ignores", "refuses", "differs"]
# What a caller loses where it is ignored: the form of the output, the tools, something else, nothing of the answer.
Loss = Literal["constraint", "tools", "effect", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of one or more kinds of request, as vLLM 0.32 takes it.

    `type` is a Python annotation, `default` and `range` are vLLM's, in words; an empty default is null. `first` and
    `last` are the vLLM releases that declare it, filled in from `releases` for each kind: an empty `first` means that
    none ever did, an empty `last` that it is still there. `replaced_by` names what to write instead. `harmless` holds
    values that mean the same whether it is read or not, beside None.
    """

    name: str
    kinds: tuple[RequestKind, ...]
    type: str
    meaning: str
    origin: Literal["OpenAI", "vLLM"]
    source: str
    default: str = ""
    range: str = ""
    first: str = ""
    last: str = ""
    replaced_by: str = ""
    effect: Effect = "honours"
    loses: Loss = "effect"
    note: str = ""
    harmless: tuple[Any, ...] = ()

    @property
    def is_doubtful(self) -> bool:
        """Whether it may be lost on some vLLM in a way that is worth asking the server about.

        What came with an earlier release than that of the table is asked about only where its loss would make a
        wrong answer of it.
        """
        if self.effect == "ignores" or self.last:
            return True
        is_newer = _numbers(self.first) > _numbers(TABLE_VERSION)
        return is_newer or (self.loses in ("constraint", "tools") and self.is_late)

    @property
    def is_late(self) -> bool:
        """Whether there are servers that lack it and say nothing when it is sent; those of 2024 are not counted."""
        return any(_numbers(self.first) > _numbers([*UNKNOWN_FIELDS[kind]][-1]) for kind in self.kinds)


@cache
def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split("."))) if version else ()
