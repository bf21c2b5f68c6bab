"""How an answer is shown: its pieces on stdout as they come, what there is to say about it on stderr."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from vllm_connect.cli.answer import Answer, Piece, Text, Thought, ToolCall
from vllm_connect.cli.terminal import Cleaner, complain, has_colour, single_line, write

__all__ = ["AnswerPrinter", "say_more"]

DIM, PLAIN = "\x1b[2m", "\x1b[22m"


class AnswerPrinter:
    """Shows the pieces of one answer: reasoning apart, dim on a terminal and else between two marks.

    A context manager: leaving it ends the last line, however the answer ended.
    """

    def __init__(self, out: TextIO, *, reasoning: bool) -> None:
        self._out = out
        self._reasoning = reasoning
        self._marks = (DIM, PLAIN) if has_colour(out) else ("<think>\n", "\n</think>")
        self._cleaner = Cleaner()
        self._thinking = False
        self._begun = False
        self._last = "\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def show(self, piece: Piece) -> None:
        """Show one piece at once."""
        match piece:
            case Thought(text):
                self._think(text)
            case Text(text):
                self._say(text)
            case ToolCall(name=name, arguments=arguments):
                self._end()
                self._write(single_line(f"-> {name}({arguments})") + "\n")

    def _end(self) -> None:
        """End the line, and dim text, wherever the answer stopped."""
        if self._thinking:
            self._end_thinking("\n")
        elif self._last != "\n":
            self._write("\n")

    def _say(self, text: str) -> None:
        if self._thinking:
            self._end_thinking("\n\n")
        # Models put empty lines between their reasoning and their answer, or in front of it.
        text = text if self._begun else text.lstrip("\r\n")
        self._begun = self._begun or bool(text)
        self._write(self._cleaner.clean(text))

    def _think(self, text: str) -> None:
        if not self._reasoning:
            return
        if not self._thinking:
            self._thinking = True
            self._write(self._marks[0])
            text = text.lstrip("\r\n")
        self._write(self._cleaner.clean(text))

    def _end_thinking(self, space: str) -> None:
        self._thinking = False
        self._write(self._marks[1] + space)

    def _write(self, text: str) -> None:
        if text:
            self._last = text[-1]
            write(text, to=self._out)


def _remark(answer: Answer) -> str:
    """Return what there is to say about how an answer ended, empty for an ordinary end."""
    if answer.finish_reason in _ORDINARY:
        return ""
    say = _REMARKS.get(answer.finish_reason)
    return say(answer) if say else f"the answer ended with finish_reason {answer.finish_reason!r}"


# None on servers that are not vLLM: an answer that is not done is the client's error.
_ORDINARY = frozenset({"stop", "tool_calls", "function_call", None})
_REMARKS: dict[str | None, Callable[[Answer], str]] = {
    "length": lambda answer: (
        f"the answer was cut off after {_counted(answer.tokens('completion_tokens'), 'token')} "
        "(finish_reason length): raise --max-tokens, or shorten the prompt where the context is full"
    ),
    "repetition": lambda _answer: "the server ended the answer as it repeated itself",
}


def say_more(answer: Answer, *, stats: bool) -> None:
    """Say on stderr how an answer ended, where that is worth a line, and its statistics where they are wanted."""
    ending = _remark(answer)
    if ending:
        complain(ending)
    if stats:
        complain(_statistics(answer))


def _statistics(answer: Answer) -> str:
    """Return times and tokens of an answer in a line; what is not known is left out."""
    first, rate = answer.timings.first_token, answer.tokens_per_second
    parts = (
        "" if first is None else f"first token after {first:.2f} s",
        "" if rate is None else f"{rate:.1f} tokens/s",
        _counted(answer.tokens("completion_tokens"), "token"),
        f"{answer.timings.total:.2f} s in total",
        _counted(answer.tokens("prompt_tokens"), "prompt token"),
    )
    return ", ".join(part for part in parts if part)


def _counted(count: int | None, what: str) -> str:
    if count is None:
        return ""
    return f"{count} {what}{'' if count == 1 else 's'}"
