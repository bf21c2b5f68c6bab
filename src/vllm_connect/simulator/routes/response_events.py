"""The stream of a response: the model's words as the events of the items they belong to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from vllm_connect.simulator.model.generation import Generation
from vllm_connect.simulator.model.message import Delta
from vllm_connect.simulator.routes.response_items import (
    Item,
    Logprobs,
    call_item,
    message_item,
    new_id,
    reasoning_item,
    reasoning_part,
    text_part,
    token_logprobs,
)

Event = dict[str, Any]
Timed = tuple[int, Event]


@dataclass
class _Stream:
    """What has been sent so far: the finished items, and the number of the next event."""

    generation: Generation
    top: int | None
    sent: int = 0
    output: list[Item] = field(default_factory=list)

    def event(self, kind: str, **about: Any) -> Event:
        number, self.sent = self.sent, self.sent + 1
        after = about.pop("after", {})
        return {**about, "sequence_number": number, **after, "type": f"response.{kind}"}

    def added(self, item: Item) -> Event:
        return self.event("output_item.added", item=item, output_index=len(self.output))

    def done(self, item: Item) -> Event:
        event = self.event("output_item.done", item=item, output_index=len(self.output))
        self.output.append(item)
        return event

    @property
    def place(self) -> dict[str, int]:
        return {"output_index": len(self.output)}


class _Part(ABC):
    """An item that is being sent: its first events, one for each piece, its last events."""

    def __init__(self, stream: _Stream) -> None:
        self.stream = stream
        self.text = ""

    @abstractmethod
    def begin(self) -> list[Event]: ...

    @abstractmethod
    def add(self, text: str, place: int) -> Event: ...

    @abstractmethod
    def end(self) -> list[Event]: ...


class _Reasoning(_Part):
    def __init__(self, stream: _Stream) -> None:
        super().__init__(stream)
        self._at = {"content_index": 0}
        self._id = new_id("rs")

    def begin(self) -> list[Event]:
        stream = self.stream
        return [
            stream.added(reasoning_item(self._id, None, "in_progress")),
            stream.event(
                "content_part.added", **self._at, item_id=self._id, **stream.place, part=reasoning_part("")
            ),
        ]

    def add(self, text: str, place: int) -> Event:  # noqa: ARG002 - thoughts have no log probabilities
        self.text += text
        return self.stream.event(
            "reasoning_text.delta", **self._at, delta=text, item_id=self._id, **self.stream.place
        )

    def end(self) -> list[Event]:
        stream, about = self.stream, {**self._at, "item_id": self._id, **self.stream.place}
        return [
            stream.event("reasoning_text.done", **about, after={"text": self.text}),
            stream.event("content_part.done", **about, part=reasoning_part(self.text)),
            stream.done(reasoning_item(self._id, self.text, "completed")),
        ]


class _Message(_Part):
    def __init__(self, stream: _Stream) -> None:
        super().__init__(stream)
        self._at = {"content_index": 0}
        self._id = new_id("msg")
        self._tokens: Logprobs = []

    def begin(self) -> list[Event]:
        stream = self.stream
        part = text_part("", [])
        return [
            stream.added(message_item(self._id, [], "in_progress")),
            stream.event("content_part.added", **self._at, item_id=self._id, **stream.place, part=part),
        ]

    def add(self, text: str, place: int) -> Event:
        self.text += text
        tokens: Logprobs = []
        if self.stream.top is not None:
            tokens = token_logprobs(self.stream.generation, self.stream.top, place, place + 1)
            self._tokens += tokens
        about = {
            **self._at,
            "delta": text,
            "item_id": self._id,
            "logprobs": [_without_bytes(one) for one in tokens],
        }
        return self.stream.event("output_text.delta", **about, **self.stream.place)

    def end(self) -> list[Event]:
        stream, where = self.stream, self.stream.place
        part = text_part(self.text, self._tokens if stream.top is not None else None)
        about = {**self._at, "item_id": self._id}
        return [
            stream.event("output_text.done", **about, logprobs=[], **where, after={"text": self.text}),
            stream.event("content_part.done", **about, **where, part=part),
            stream.done(message_item(self._id, [part], "completed")),
        ]


class _Call(_Part):
    def __init__(self, stream: _Stream, call: Item) -> None:
        super().__init__(stream)
        self._call = call
        self._id = new_id("fc")

    def begin(self) -> list[Event]:
        return [self.stream.added(call_item(self._id, self._call, "", "in_progress"))]

    def add(self, text: str, place: int) -> Event:  # noqa: ARG002 - calls have no log probabilities
        self.text += text
        return self.stream.event(
            "function_call_arguments.delta", delta=text, item_id=self._id, **self.stream.place
        )

    def end(self) -> list[Event]:
        stream, name = self.stream, self._call["function"]["name"]
        done = stream.event(
            "function_call_arguments.done", arguments=self.text, item_id=self._id, **stream.place
        )
        return [
            {**done, "name": name},
            stream.done(call_item(self._id, self._call, self.text, "completed")),
        ]


def events(
    generation: Generation,
    deltas: list[Delta],
    top: int | None,
    shown: Callable[[list[Item] | None], Item],
) -> Iterator[Timed]:
    """All events of a response, each with the count of engine steps it waited for.

    `shown` gives the response itself: without items while it is under way, with them when it is complete.
    """
    stream = _Stream(generation, top)
    for kind in ("created", "in_progress"):
        yield 0, stream.event(kind, response=shown(None))
    part: _Part | None = None
    waited = 0
    for place, delta in enumerate(deltas):
        waited += 1
        begun, text = _piece(delta, part, stream)
        sent: list[Event] = []
        if begun is not part and begun is not None:
            sent += part.end() if part else []
            sent += begun.begin()
            part = begun
        if part and text:
            sent.append(part.add(text, place))
        for event in sent:
            yield waited, event
            waited = 0
    if part:
        for event in part.end():
            yield waited, event
            waited = 0
    yield waited, stream.event("completed", response=shown(stream.output))


def _piece(delta: Delta, part: _Part | None, stream: _Stream) -> tuple[_Part | None, str]:
    """The item that a step belongs to, a new one where it begins one, and the text it adds."""
    fields = delta.fields or {}
    for name, kind in (("reasoning", _Reasoning), ("content", _Message)):
        if fields.get(name):
            return part if isinstance(part, kind) else kind(stream), fields[name]
    calls = fields.get("tool_calls")
    if not calls:
        return part, ""
    function = calls[0]["function"]
    return (_Call(stream, calls[0]), "") if "name" in function else (part, function["arguments"])


def _without_bytes(one: Item) -> Item:
    top = [{"token": other["token"], "logprob": other["logprob"]} for other in one["top_logprobs"]]
    return {"token": one["token"], "logprob": one["logprob"], "top_logprobs": top}
