"""What was said so far and how the next answer is asked for: a value that each step makes anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_connect.cli.answer import Answer, ToolCall

__all__ = ["Conversation", "Message", "Turn"]

Message = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """A question and its answer, as messages."""

    question: Message
    answer: Message


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A chat: `images` go with the next question, `unanswered` is the last one if it failed."""

    model: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()
    images: tuple[Message, ...] = ()
    unanswered: Message | None = None

    def question(self, text: str) -> Message:
        """Return the next question as a message."""
        if not self.images:
            return {"role": "user", "content": text}
        return {"role": "user", "content": [*self.images, {"type": "text", "text": text}]}

    def messages(self, question: Message | None = None) -> list[Message]:
        """Return all that was said, and a question after it."""
        said = [] if self.system is None else [{"role": "system", "content": self.system}]
        for turn in self.turns:
            said += [turn.question, turn.answer]
        return said if question is None else [*said, question]

    def answered(self, question: Message, answer: Answer) -> Conversation:
        """Return the conversation with an answer; reasoning is not said again, as chat templates drop it."""
        message: Message = {"role": "assistant", "content": answer.text}
        if answer.tool_calls:
            message["tool_calls"] = [_call(call) for call in answer.tool_calls]
        return replace(self, turns=(*self.turns, Turn(question, message)), images=(), unanswered=None)

    def failed(self, question: Message) -> Conversation:
        """Return the conversation as it was, with a question that can be asked again."""
        return replace(self, images=(), unanswered=question)

    def undone(self) -> Conversation:
        """Return the conversation without its last question."""
        if self.unanswered is not None:
            return replace(self, unanswered=None)
        return replace(self, turns=self.turns[:-1])

    @property
    def request_parameters(self) -> dict[str, Any]:
        """The parameters of the next request, its model among them where one was named."""
        return {**self.parameters, **({} if self.model is None else {"model": self.model})}

    @property
    def last_question(self) -> Message | None:
        """The last question, answered or not."""
        if self.unanswered is not None:
            return self.unanswered
        return self.turns[-1].question if self.turns else None


def _call(call: ToolCall) -> Message:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
