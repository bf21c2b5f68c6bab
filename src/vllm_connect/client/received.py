"""What has come of a stream so far, kept as texts: of its chunks nothing stays.

Noting a chunk costs a quarter of a microsecond. What is not read by the SDK's types, from servers that send odd
shapes, is left out: the caller has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import Any

from vllm_connect.client.reasoning import name_reasoning
from vllm_connect.errors import Partial, PartialChoice, PartialToolCall
from vllm_connect.outcome.completeness import in_order, reason_of
from vllm_connect.outcome.judgement import FINISHED, NOT_FINISHED

__all__ = ["Received", "counts", "received_whole", "text_of"]


class _Choice:
    """One choice in the making."""

    __slots__ = ("calls", "finish_reason", "reasoning", "text", "token_ids")

    def __init__(self) -> None:
        self.text: StringIO | _Full = StringIO()
        self.reasoning: StringIO | _Full | None = None
        self.calls: dict[int, _ToolCall] | None = None
        self.finish_reason: object = None
        self.token_ids: list[int] | None = None

    def note_delta(self, delta: Any) -> None:
        """Take what is not the content of a delta."""
        name_reasoning(delta)
        extra = delta.__pydantic_extra__ or {}
        said = extra.get("reasoning") or extra.get("reasoning_content")
        if said and isinstance(said, str):
            if self.reasoning is None:
                self.reasoning = StringIO()
            self.reasoning.write(said)
        refusal = getattr(delta, "refusal", None)
        if refusal and isinstance(refusal, str):
            self.text.write(refusal)
        for call in getattr(delta, "tool_calls", None) or ():
            self._note_call(call.index, call.id, call.function)
        function = getattr(delta, "function_call", None)
        if function is not None:
            self._note_call(0, None, function)

    def _note_call(self, index: int, identity: str | None, function: Any) -> None:
        if self.calls is None:
            self.calls = {}
        call = self.calls.setdefault(index, _ToolCall())
        call.id = identity or call.id
        if function is not None:
            call.name = function.name or call.name
            call.arguments.write(function.arguments or "")

    def note_ids(self, ids: Iterable[int]) -> None:
        """Take the ids of tokens, which come where the request asked for them."""
        if self.token_ids is None:
            self.token_ids = []
        self.token_ids.extend(ids)

    def note_finish(self, reason: object) -> bool:
        """Take a finish reason; return whether it says that the server broke off."""
        self.finish_reason = reason
        return reason in NOT_FINISHED

    @property
    def size(self) -> int:
        return self.text.tell() + (0 if self.reasoning is None else self.reasoning.tell())

    def partial(self) -> PartialChoice:
        calls = (
            PartialToolCall(index=index, id=one.id, name=one.name, arguments=one.arguments.getvalue())
            for index, one in sorted((self.calls or {}).items())
        )
        return PartialChoice(
            text=self.text.getvalue(),
            reasoning="" if self.reasoning is None else self.reasoning.getvalue(),
            tool_calls=tuple(calls),
            finish_reason=reason_of(self.finish_reason),
            token_ids=tuple(self.token_ids or ()),
        )


class _Full:
    """A text that is as long as is kept."""

    __slots__ = ("_text",)

    def __init__(self, text: StringIO | _Full) -> None:
        self._text = text.getvalue()

    def write(self, _more: str) -> None:
        """Keep no more."""

    def getvalue(self) -> str:
        return self._text

    def tell(self) -> int:
        return 0


class _ToolCall:
    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments = StringIO()


class Received:
    """What has come of one stream of chat or completion chunks."""

    __slots__ = ("_choices", "_id", "_prompt_token_ids", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._id = ""
        self._usage: Any = None
        self._prompt_token_ids: tuple[int, ...] = ()

    # Once per token: what both have in common stands in both, for a call costs a tenth of the whole.

    def note_chat(self, chunk: Any) -> bool:  # noqa: C901 - as above
        """Take a chunk of a chat; return whether the server broke a choice off with it.

        Unknown fields count as not set afterwards, as the SDK has it: a reader need not have settled that.
        """
        is_off = False
        for choice in chunk.choices:
            try:
                try:
                    one = self._choices[choice.index]
                except KeyError:
                    one = self._begin(choice.index, chunk)
                delta = choice.delta
                content = delta.content
                if content:
                    one.text.write(content)
                if not content or delta.tool_calls or delta.__pydantic_extra__:
                    one.note_delta(delta)
                    for name in delta.__pydantic_extra__ or ():
                        delta.__pydantic_fields_set__.discard(name)
                extra = choice.__pydantic_extra__
                if extra:
                    for name in extra:
                        choice.__pydantic_fields_set__.discard(name)
                    if extra.get("token_ids"):
                        one.note_ids(extra["token_ids"])
                if choice.finish_reason:
                    is_off |= one.note_finish(choice.finish_reason)
            except (AttributeError, TypeError):
                is_off |= self._note_odd(choice)
        if chunk.usage is not None:
            self._usage = chunk.usage
        return is_off

    def note_completion(self, chunk: Any) -> bool:
        """Take a chunk of a completion; return whether the server broke a choice off with it."""
        is_off = False
        for choice in chunk.choices:
            try:
                try:
                    one = self._choices[choice.index]
                except KeyError:
                    one = self._begin(choice.index, chunk)
                one.text.write(choice.text)
                extra = choice.__pydantic_extra__
                if extra and extra.get("token_ids"):
                    one.note_ids(extra["token_ids"])
                if choice.finish_reason:
                    is_off |= one.note_finish(choice.finish_reason)
            except (AttributeError, TypeError):
                is_off |= self._note_odd(choice)
        if chunk.usage is not None:
            self._usage = chunk.usage
        return is_off

    def _begin(self, index: object, chunk: Any) -> _Choice:
        if type(index) is not int:
            raise TypeError(index)
        if not self._id:
            self._id = str(getattr(chunk, "id", None) or "")
            # vLLM tells them in the first chunk of a chat, in the first choice of a completion.
            told = ((one.__pydantic_extra__ or {}).get("prompt_token_ids") for one in (chunk, *chunk.choices))
            self._prompt_token_ids = tuple(next(filter(None, told), ()))
        one = self._choices[index] = _Choice()
        return one

    def _note_odd(self, choice: Any) -> bool:
        """Take the finish reason of a choice whose shape is not the SDK's: what else it says is the caller's."""
        index = getattr(choice, "index", None)
        reason = reason_of(getattr(choice, "finish_reason", None))
        one = self._choices.setdefault(index if isinstance(index, int) else 0, _Choice())
        return reason is not None and one.note_finish(reason)

    def bound(self, most: int) -> None:
        """Keep no further text once there are so many characters: a stream without end must not fill the memory."""
        if sum(one.size for one in self._choices.values()) > most:
            for one in self._choices.values():
                one.text, one.reasoning = _Full(one.text), _Full(one.reasoning or StringIO())

    def cut_back(self, text: str, token_ids: Iterable[int]) -> None:
        """Keep so much of the only choice, whose rest comes anew."""
        one = self._choices[0]
        one.text = StringIO()
        one.text.write(text)
        one.token_ids = list(token_ids)
        one.finish_reason = None

    # -- what is asked at the end

    def has_finished(self, asked: int) -> bool:
        """Whether every choice that was asked for has finished in a way that the OpenAI reference names."""
        choices = self._choices
        if len(choices) < asked:
            return False
        return all(
            isinstance(one.finish_reason, str) and one.finish_reason in FINISHED for one in choices.values()
        )

    def has_all(self, asked: int) -> bool:
        """Whether something came of every choice that was asked for."""
        return len(self._choices) >= asked

    def finish_reasons(self, asked: int) -> tuple[str | None, ...]:
        """Return the finish reason of every choice, None for one that did not finish."""
        return in_order({index: one.finish_reason for index, one in self._choices.items()}, asked)

    def partial(self, request_id: str = "") -> Partial:
        """Return what came, as errors carry it."""
        return Partial(
            choices={index: one.partial() for index, one in sorted(self._choices.items())},
            usage=self._usage,
            id=self._id,
            request_id=request_id,
            prompt_token_ids=self._prompt_token_ids,
        )


def counts(chunk: Any) -> bool:
    """Whether a chunk brings its caller something of the answer: text, a call, a finish, the usage at the end.

    A chunk that opens a message with its role alone brings nothing.
    """
    if not chunk.choices:
        return chunk.usage is not None
    return any(_brings(choice) for choice in chunk.choices)


def text_of(chunk: Any) -> str:
    """Return the text of a chunk's first choice, empty where it is none."""
    choice = chunk.choices[0]
    delta = getattr(choice, "delta", None)
    text = getattr(choice, "text", None) if delta is None else getattr(delta, "content", None)
    return text if isinstance(text, str) else ""


def _brings(choice: Any) -> bool:
    told = {**choice.__dict__, **(choice.__pydantic_extra__ or {})}
    delta = told.pop("delta", None)
    told.pop("index", None)
    if delta is not None:
        told.update(getattr(delta, "__dict__", {}), **(getattr(delta, "__pydantic_extra__", None) or {}))
        told.pop("role", None)
    return any(told.values())


def received_whole(answer: Any, request_id: str = "") -> Partial:
    """Return what a plain answer holds, as errors carry it where it is not complete."""
    choices = {}
    for place, choice in enumerate(answer.choices):
        message = getattr(choice, "message", None)
        one = _Choice()
        said = getattr(choice, "text", None) if message is None else getattr(message, "content", None)
        if isinstance(said, str):
            one.text.write(said)
        try:
            if message is not None:
                for at, call in enumerate(getattr(message, "tool_calls", None) or ()):
                    one._note_call(at, call.id, call.function)
                one.note_delta(_WithoutCalls(message))
            one.note_ids((choice.__pydantic_extra__ or {}).get("token_ids") or ())
        except (AttributeError, TypeError):
            pass  # odd shapes are left out
        one.finish_reason = getattr(choice, "finish_reason", None)
        index = getattr(choice, "index", place)
        choices[index if isinstance(index, int) and index not in choices else place] = one.partial()
    return Partial(
        choices=choices,
        usage=getattr(answer, "usage", None),
        id=str(getattr(answer, "id", None) or ""),
        request_id=request_id,
    )


class _WithoutCalls:
    """A message as a delta whose tool calls have been read."""

    tool_calls = function_call = None

    def __init__(self, message: Any) -> None:
        self.__pydantic_extra__ = message.__pydantic_extra__
        self.refusal = getattr(message, "refusal", None)
