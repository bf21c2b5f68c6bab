"""What came of an answer that did not end right, as a value that errors carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Partial", "PartialChoice", "PartialToolCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialToolCall:
    """One call of a tool as far as it came; `arguments` are the text that came, which may be no JSON yet."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialChoice:
    """One choice as far as it came; `token_ids` where the request asked for them (vLLM's `return_token_ids`)."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[PartialToolCall, ...] = ()
    finish_reason: str | None = None
    token_ids: tuple[int, ...] = ()


_NOTHING = PartialChoice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What came of an answer before it broke off: `choices` by their index.

    `text`, `reasoning` and `tool_calls` are those of the first choice, which most requests have alone. `usage` is the
    SDK's object, None where it did not come. `id` is of the answer, `request_id` of the server's header; both may be
    empty. `prompt_token_ids` where the request asked for token ids.
    """

    choices: Mapping[int, PartialChoice] = field(default_factory=dict)
    usage: Any = None
    id: str = ""
    request_id: str = ""
    prompt_token_ids: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self._first.text

    @property
    def reasoning(self) -> str:
        """The reasoning of the first choice."""
        return self._first.reasoning

    @property
    def tool_calls(self) -> tuple[PartialToolCall, ...]:
        """The tool calls of the first choice."""
        return self._first.tool_calls

    @property
    def texts(self) -> dict[int, str]:
        """The text of each choice that came, by its index."""
        return {index: choice.text for index, choice in self.choices.items()}

    @property
    def finish_reasons(self) -> dict[int, str | None]:
        """The finish reason of each choice that came, None for one that did not finish."""
        return {index: choice.finish_reason for index, choice in self.choices.items()}

    @property
    def characters(self) -> int:
        """How many characters of text and reasoning came, in all choices."""
        return sum(len(choice.text) + len(choice.reasoning) for choice in self.choices.values())

    @property
    def _first(self) -> PartialChoice:
        return self.choices.get(0, _NOTHING)
