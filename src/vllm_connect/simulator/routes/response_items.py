"""The items a response is made of, as /v1/responses and its stream show them."""

from typing import Any
from uuid import uuid4

from vllm_connect.simulator.model import logprobs
from vllm_connect.simulator.model.generation import Generation
from vllm_connect.simulator.model.message import Message

Item = dict[str, Any]
Logprobs = list[dict[str, Any]]


def new_id(kind: str) -> str:
    """An id for an item: `rs`, `msg` or `fc`."""
    return f"{kind}_{uuid4().hex[:16]}"


def reasoning_item(item_id: str, text: str | None, status: str | None) -> Item:
    """What the model thought; without a text as long as it is being thought."""
    return {
        "id": item_id,
        "summary": [],
        "type": "reasoning",
        "content": None if text is None else [reasoning_part(text)],
        "encrypted_content": None,
        "status": status,
    }


def reasoning_part(text: str) -> Item:
    """The one part of a reasoning item."""
    return {"text": text, "type": "reasoning_text"}


def message_item(item_id: str, parts: list[Item], status: str) -> Item:
    """What the model said."""
    return {
        "id": item_id,
        "content": parts,
        "role": "assistant",
        "status": status,
        "type": "message",
        "phase": None,
    }


def text_part(text: str, tokens: Logprobs | None) -> Item:
    """The one part of a message."""
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": tokens}


def call_item(item_id: str, call: Item, arguments: str, status: str) -> Item:
    """A call of a function, of one of a chat reply."""
    return {
        "arguments": arguments,
        "call_id": call["id"],
        "name": call["function"]["name"],
        "type": "function_call",
        "id": item_id,
        "async": None,
        "caller": None,
        "namespace": None,
        "status": status,
    }


def items(message: Message, top: int | None) -> list[Item]:
    """The items of a whole reply."""
    fields = message.fields
    found: list[Item] = []
    if fields["reasoning"]:
        found.append(reasoning_item(new_id("rs"), fields["reasoning"], None))
    if fields["content"]:
        tokens = None if top is None else token_logprobs(message.generation, top)
        found.append(message_item(new_id("msg"), [text_part(fields["content"], tokens)], "completed"))
    calls = fields.get("tool_calls", ())
    return [
        *found,
        *(call_item(new_id("fc"), call, call["function"]["arguments"], "completed") for call in calls),
    ]


def token_logprobs(generation: Generation, top: int, start: int = 0, end: int | None = None) -> Logprobs:
    """The log probabilities of a reply's tokens, or of some of them."""
    entries = logprobs.chat(generation.ids[start:end], top, start)["content"]
    return [
        {**_entry(one), "top_logprobs": [_entry(other) for other in one["top_logprobs"]]} for one in entries
    ]


def _entry(one: Item) -> Item:
    return {"token": one["token"], "bytes": one["bytes"], "logprob": one["logprob"]}
