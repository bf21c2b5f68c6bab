"""An answer while it streams, as events, and when it has ended, as a value; nothing here prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai

__all__ = [
    "Answer",
    "Delta",
    "Piece",
    "Reading",
    "Text",
    "Thought",
    "Timings",
    "ToolCall",
    "chat_delta",
    "text_delta",
]


@dataclass(frozen=True)
class Thought:
    """A piece of reasoning."""

    text: str


@dataclass(frozen=True)
class Text:
    """A piece of the answer itself."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for, or a part of one while it streams."""

    id: str = ""
    name: str = ""
    arguments: str = ""

    def extended(self, part: ToolCall) -> ToolCall:
        """Return the call with its next part; a server may repeat the id, and sends the arguments in parts."""
        return ToolCall(self.id or part.id, self.name or part.name, self.arguments + part.arguments)


Piece = Thought | Text | ToolCall


@dataclass(frozen=True)
class Timings:
    """Seconds from the request: to the first token (None for an empty answer), and to the end."""

    first_token: float | None
    total: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer as far as it came: `finish_reason` None means that the server did not finish it."""

    model: str | None
    reasoning: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    usage: Mapping[str, Any] | None
    timings: Timings

    @property
    def tokens_per_second(self) -> float | None:
        """How fast tokens came after the first one; None where that cannot be known."""
        tokens, first = self.tokens("completion_tokens"), self.timings.first_token
        if tokens is None or tokens < 2 or first is None or self.timings.total <= first:  # noqa: PLR2004
            return None
        return (tokens - 1) / (self.timings.total - first)

    def tokens(self, name: str) -> int | None:
        """Return a count of the usage, None where the server does not give it."""
        count = (self.usage or {}).get(name)
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    def as_json(self) -> dict[str, Any]:
        """Return the answer for `--json`."""
        rate = self.tokens_per_second
        return {
            "model": self.model,
            "text": self.text,
            "reasoning": self.reasoning or None,
            "tool_calls": [dataclasses.asdict(call) for call in self.tool_calls],
            "finish_reason": self.finish_reason,
            "usage": self.usage,
            "timings": {
                "first_token_seconds": _rounded(self.timings.first_token),
                "total_seconds": _rounded(self.timings.total),
                "tokens_per_second": _rounded(rate),
            },
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What one chunk of a stream adds."""

    model: str | None = None
    thought: str = ""
    text: str = ""
    calls: Mapping[int, ToolCall] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None


class Reading:
    """An answer that is being read; it is asked for when this is made."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._first: float | None = None
        self._model: str | None = None
        self._thoughts: list[str] = []
        self._texts: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] | None = None

    def pieces(self, chunks: Iterable[Any], delta_of: Callable[[Any], Delta]) -> Iterator[Piece]:
        """Take in a stream; yield what there is to show of it, tool calls when they are complete."""
        for chunk in chunks:
            yield from self._take(delta_of(chunk))
        yield from self._tool_calls()

    def _take(self, delta: Delta) -> Iterator[Piece]:
        if self._first is None and (delta.thought or delta.text or delta.calls):
            self._first = self._clock()
        self._model = self._model or delta.model
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage
        for index, part in delta.calls.items():
            self._calls[index] = self._calls.get(index, ToolCall()).extended(part)
        if delta.thought:
            self._thoughts.append(delta.thought)
            yield Thought(delta.thought)
        if delta.text:
            self._texts.append(delta.text)
            yield Text(delta.text)

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call for _, call in sorted(self._calls.items()))

    def answer(self) -> Answer:
        """Return the answer as far as it came."""
        first = None if self._first is None else self._first - self._started
        return Answer(
            model=self._model,
            reasoning="".join(self._thoughts),
            text="".join(self._texts),
            tool_calls=self._tool_calls(),
            finish_reason=self._finish_reason,
            usage=self._usage,
            timings=Timings(first, self._clock() - self._started),
        )


# The SDK builds chunks without validation: any attribute may be missing or of another type.


def chat_delta(chunk: Any) -> Delta:
    """Return what a chunk of a chat stream adds."""
    choice = _first_choice(chunk)
    delta = getattr(choice, "delta", None)
    return Delta(
        model=_text(chunk, "model") or None,
        # Before 0.16 vLLM named it reasoning_content.
        thought=_text(delta, "reasoning") or _text(delta, "reasoning_content"),
        text=_text(delta, "content"),
        calls=_calls(delta),
        finish_reason=_text(choice, "finish_reason") or None,
        usage=_usage(chunk),
    )


def text_delta(chunk: Any) -> Delta:
    """Return what a chunk of a completion's stream adds."""
    choice = _first_choice(chunk)
    return Delta(
        model=_text(chunk, "model") or None,
        text=_text(choice, "text"),
        finish_reason=_text(choice, "finish_reason") or None,
        usage=_usage(chunk),
    )


def _first_choice(chunk: Any) -> Any:
    choices = getattr(chunk, "choices", None)
    return choices[0] if isinstance(choices, list) and choices else None


def _calls(delta: Any) -> dict[int, ToolCall]:
    parts = getattr(delta, "tool_calls", None)
    found: dict[int, ToolCall] = {}
    for place, part in enumerate(parts if isinstance(parts, list) else ()):
        function = getattr(part, "function", None)
        index = getattr(part, "index", None)
        call = ToolCall(_text(part, "id"), _text(function, "name"), _text(function, "arguments"))
        key = index if isinstance(index, int) else place
        found[key] = found.get(key, ToolCall()).extended(call)
    return found


def _usage(chunk: Any) -> dict[str, Any] | None:
    usage = getattr(chunk, "usage", None)
    return usage.to_dict(mode="json") if isinstance(usage, openai.BaseModel) else None


def _text(holder: Any, name: str) -> str:
    value = getattr(holder, name, None)
    return value if isinstance(value, str) else ""
