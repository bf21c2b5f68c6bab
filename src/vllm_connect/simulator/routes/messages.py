"""POST /v1/messages and /v1/messages/count_tokens: the same model in the terms of Anthropic's API."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Stream, json_response
from vllm_connect.simulator.model.generation import Generation, Step
from vllm_connect.simulator.model.message import deltas, message
from vllm_connect.simulator.model.prompts import chat_prompt, check_messages
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Body, Invalid
from vllm_connect.simulator.requests.refusals import Refusal, Refused, refuse
from vllm_connect.simulator.routes.accounting import duration, named_event, paced
from vllm_connect.simulator.routes.dialogue import Dialogue, chat_body, check_in_engine, opened, replies, work

Block = dict[str, Any]
Event = dict[str, Any]

_NO_TOOL: Final = Refusal("The tool with name '{name}' is not found in the tools list.")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def _translated(
    handler: Callable[[RecordedRequest, Engine], Routed],
) -> Callable[[RecordedRequest, Engine], Routed]:
    """A route whose refusals have Anthropic's shape, except those of a body that is none."""

    def answer(request: RecordedRequest, engine: Engine) -> Routed:
        try:
            return handler(request, engine)
        except Invalid:
            raise
        except Refused as refused:
            error = json.loads(refused.answer.body)["error"]
            shown = {"type": "error", "error": {"type": error["type"], "message": error["message"]}}
            return json_response(shown, status=refused.answer.status)

    return answer


@_translated
def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Reply to a conversation, streamed or whole."""
    body = intake.read(request, intake.MESSAGE, engine.options)
    options = engine.options
    dialogue = opened(_as_chat(body), engine, "max_completion_tokens")
    check_in_engine(dialogue, options)
    generations = replies(dialogue, options)
    name = f"chatcmpl-{intake.request_id(request, {})}"
    model = engine.answering_model(body["model"])
    cost = work(dialogue, generations)
    if body["stream"]:
        events = _events(dialogue, generations[0], name, model, engine)
        return Stream(paced(events, options, write=named_event, end=b""), work=cost)
    content = _whole(dialogue, generations[0], name, model, engine)
    return json_response(content, delay=duration(len(generations[0].steps), options), work=cost)


@_translated
def count_tokens(request: RecordedRequest, engine: Engine) -> Routed:
    """Count the tokens of a conversation."""
    body = intake.read(request, intake.MESSAGE_COUNT, engine.options)
    engine.check_model(body["model"])
    chat = _as_chat({"max_tokens": None, "stop_sequences": None, "stream": False, **body})
    check_messages(chat["messages"])
    count = len(chat_prompt(chat, engine.options))
    return json_response({"input_tokens": count, "context_management": {"original_input_tokens": count}})


def _as_chat(body: Body) -> Body:
    """The same request in the terms of /v1/chat/completions."""
    said = [message for one in body["messages"] for message in _messages(one)]
    system = _joined(body["system"])
    tools = [
        {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}
        for tool in body["tools"] or ()
    ]
    output = body["output_config"] or {}
    thinking = (body["thinking"] or {}).get("type")
    same = {
        name: body.get(name)
        for name in ("model", "temperature", "top_p", "top_k", "stream", "chat_template_kwargs", "cache_salt")
    }
    return chat_body(
        {
            **same,
            "messages": [{"role": "system", "content": system}, *said] if system else said,
            "max_completion_tokens": None if body["max_tokens"] is None else int(body["max_tokens"]),
            "stop": body["stop_sequences"] or (),
            "tools": tools or None,
            "tool_choice": _tool_choice(body),
            "reasoning_effort": "none" if thinking == "disabled" else output.get("effort"),
            "response_format": _format(output.get("format")),
        }
    )


def _tool_choice(body: Body) -> Any:
    choice = body["tool_choice"]
    if not body["tools"] or choice is None:
        return "auto" if body["tools"] else "none"
    if choice["type"] != "tool":
        return _CHOICES[choice["type"]]
    if all(tool["name"] != choice["name"] for tool in body["tools"]):
        raise refuse(_NO_TOOL, name=choice["name"])
    return {"type": "function", "function": {"name": choice["name"]}}


def _format(asked: Block | None) -> Block | None:
    schema = (asked or {}).get("schema")
    return {"type": "json_schema", "json_schema": {"schema": schema}} if schema else None


def _messages(one: Block) -> Iterator[Block]:
    """One message as those of a chat: results of tools are messages of their own."""
    if not isinstance(one["content"], list):
        yield {"role": one["role"], "content": one["content"]}
        return
    parts, calls = [], []
    for block in one["content"]:
        match block["type"]:
            case "text":
                parts.append({"type": "text", "text": block.get("text", "")})
            case "image":
                parts.append({"type": "image_url", "image_url": {"url": ""}})
            case "tool_use":
                arguments = json.dumps(block.get("input") or {})
                calls.append(
                    {"id": block.get("id"), "function": {"name": block.get("name"), "arguments": arguments}}
                )
            case "tool_result":
                yield {"role": "tool", "content": _joined(block.get("content"))}
    if parts or calls:
        yield {"role": one["role"], "content": parts, **({"tool_calls": calls} if calls else {})}


def _joined(content: Any) -> str:
    """A text, or the texts of blocks in lines."""
    if isinstance(content, list):
        return "\n".join(block.get("text", "") for block in content if block.get("type") == "text")
    return content or ""


def _whole(dialogue: Dialogue, generation: Generation, name: str, model: str, engine: Engine) -> Event:
    read = message(generation, dialogue.body, engine.options)
    calls = read.fields.get("tool_calls", ())
    content: list[Block] = []
    if read.fields["reasoning"]:
        content.append({"type": "thinking", "thinking": read.fields["reasoning"], "signature": uuid4().hex})
    if read.fields["content"]:
        content.append({"type": "text", "text": read.fields["content"]})
    for call in calls:
        function = call["function"]
        content.append(
            {
                "type": "tool_use",
                "id": call["id"],
                "name": function["name"],
                "input": json.loads(function["arguments"]),
            }
        )
    reason, sequence = _stop(generation.last, called=bool(calls))
    return {
        "id": name,
        "type": "message",
        "role": "assistant",
        "content": content or [{"type": "text", "text": ""}],
        "model": model,
        "stop_reason": reason,
        **({} if sequence is None else {"stop_sequence": sequence}),
        "usage": _usage(dialogue, len(generation.steps), engine.options),
    }


def _events(
    dialogue: Dialogue, generation: Generation, name: str, model: str, engine: Engine
) -> Iterator[tuple[int, Event]]:
    """The events of a streamed reply, each with the count of engine steps it waited for."""
    at_first = {"input_tokens": len(dialogue.prompt), "output_tokens": 0}
    head = {"id": name, "type": "message", "role": "assistant", "content": [], "model": model}
    begun = {**head, "stop_reason": None, "stop_sequence": None, "usage": at_first}
    yield 1, {"type": "message_start", "message": begun}
    waited, index, kind, called = 0, -1, "", False
    for place, delta in enumerate(deltas(generation, dialogue.body, engine.options)):
        waited += place > 0
        block, addition = _block(delta.fields or {}, kind)
        for event in _turn(kind, block, index):
            yield waited, event
            waited = 0
        if block:
            kind, index, called = block["type"], index + 1, called or block["type"] == "tool_use"
        if addition:
            yield waited, {"type": "content_block_delta", "delta": addition, "index": index}
            waited = 0
    for event in _closing(kind, index):
        yield waited, event
        waited = 0
    reason, sequence = _stop(generation.last, called=called)
    ended = {"stop_reason": reason, "stop_sequence": sequence}
    yield (
        waited,
        {
            "type": "message_delta",
            "delta": ended,
            "usage": _usage(dialogue, len(generation.steps), engine.options),
        },
    )
    yield 0, {"type": "message_stop"}


def _block(fields: Block, kind: str) -> tuple[Block | None, Block | None]:
    """The block that a step begins, if it begins one, and what it adds to a block."""
    if text := fields.get("reasoning"):
        begun = None if kind == "thinking" else {"type": "thinking", "thinking": ""}
        return begun, {"type": "thinking_delta", "thinking": text}
    if text := fields.get("content"):
        return None if kind == "text" else {"type": "text", "text": ""}, {"type": "text_delta", "text": text}
    for call in fields.get("tool_calls", ()):
        if "name" in call["function"]:
            return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": {}}, None
        return None, {"type": "input_json_delta", "partial_json": call["function"]["arguments"]}
    return None, None


def _turn(kind: str, block: Block | None, index: int) -> Iterator[Event]:
    """From one block to the next."""
    if block:
        yield from _closing(kind, index)
        yield {"type": "content_block_start", "content_block": block, "index": index + 1}


def _closing(kind: str, index: int) -> Iterator[Event]:
    if kind == "thinking":
        signature = {"type": "signature_delta", "signature": uuid4().hex}
        yield {"type": "content_block_delta", "delta": signature, "index": index}
    if kind:
        yield {"type": "content_block_stop", "index": index}


def _stop(last: Step, *, called: bool) -> tuple[str | None, str | None]:
    """Why a reply ended, in Anthropic's words, and the text that ended it."""
    if last.finish_reason == "length":
        return "max_tokens", None
    if last.finish_reason != "stop":
        return None, None
    if called:
        return "tool_use", None
    return ("stop_sequence", last.stop_reason) if isinstance(last.stop_reason, str) else ("end_turn", None)


def _usage(dialogue: Dialogue, written: int, options: Options) -> Event:
    """What was read anew and what was written; what the cache spared, where the server tells of it."""
    if not options.enable_prompt_tokens_details:
        return {"input_tokens": len(dialogue.prompt), "output_tokens": written}
    return {
        "input_tokens": len(dialogue.prompt) - dialogue.cached,
        "output_tokens": written,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": dialogue.cached,
    }
