"""What a chat client gets of a generation: reasoning, content and tool calls, whole or delta by delta."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from vllm_connect.simulator.model.generation import Generation, Step
from vllm_connect.simulator.model.tokens import THINK_END, TOOL_BEGIN, TOOL_END, special_id
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.fields import Body

Fields = dict[str, Any]

_THINK_END, _TOOL_BEGIN, _TOOL_END = map(special_id, (THINK_END, TOOL_BEGIN, TOOL_END))
_CALL_HEAD = re.compile(r'\s*\{"name": "([^"]*)", "arguments": ')
_CALL_TAIL = "}"


@dataclass(frozen=True)
class Message:
    """A whole message and how it ended."""

    generation: Generation
    fields: Fields
    finish_reason: str | None
    reasoning_tokens: int


@dataclass(frozen=True)
class Delta:
    """What one step adds; None where it adds nothing that is shown."""

    step: Step
    fields: Fields | None
    finish_reason: str | None


def role(body: Body) -> str:
    """Who speaks: the assistant, or whose message is being continued."""
    return "assistant" if body["add_generation_prompt"] else str(body["messages"][-1]["role"])


def echoed(body: Body) -> str:
    """The last message, put before the reply if that was asked for and both have one speaker."""
    last = body["messages"][-1]
    said = last.get("content") or ""
    if not body["echo"] or last["role"] != role(body):
        return ""
    return said if isinstance(said, str) else "\n".join(part["text"] for part in said)


def thinks(body: Body, options: Options) -> bool:
    """Whether the model reasons before it answers this request."""
    template = body["chat_template_kwargs"] or {}
    by_effort = body["reasoning_effort"] != "none"
    return bool(options.reasoning_parser) and bool(template.get("enable_thinking", by_effort))


def may_call(body: Body, options: Options) -> bool:
    """Whether tool calls in the output are read as such."""
    return bool(options.tool_call_parser and body["tools"]) and body["tool_choice"] not in (None, "none")


def message(generation: Generation, body: Body, options: Options) -> Message:
    """Read a whole generation."""
    parts = _read(generation, body, options)
    reasoning = _joined(parts, "reasoning")
    content = _joined(parts, "content")
    calls = [part for part in parts if part.kind == "call"]
    complete = [_CALL_HEAD.match(call.text) for call in calls] if all(call.closed for call in calls) else []
    if calls and not complete:
        content = (content or "") + "".join(TOOL_BEGIN + call.text for call in calls)
    forced = body["tool_choice"] == "required" or isinstance(body["tool_choice"], dict)
    fields: Fields = {
        "role": role(body),
        "content": echoed(body) + (content or "") if forced or body["echo"] else content,
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
    }
    if complete:
        fields["tool_calls"] = [
            {
                "id": _call_id(generation, place),
                "type": "function",
                "function": {"name": head[1], "arguments": call.text[head.end() :].removesuffix(_CALL_TAIL)},
            }
            for place, (call, head) in enumerate(zip(calls, complete, strict=True))
            if head
        ]
    shown = reasoning if body["include_reasoning"] else None
    fields.update(dict.fromkeys(options.behaviour.reasoning_names, shown))
    tokens = sum(len(part.steps) for part in parts if part.kind == "reasoning")
    return Message(generation, fields, _finish(generation.last, body, called=bool(complete)), tokens)


def deltas(generation: Generation, body: Body, options: Options) -> list[Delta]:
    """Read a generation step by step, as a stream shows it."""
    found: list[Delta] = []
    calls = 0
    for part in _read(generation, body, options):
        if part.kind == "call":
            shown: list[Fields | None] = _call_deltas(part, calls, _call_id(generation, calls))
            calls += 1
        else:
            shown = [_text_delta(part.kind, step.text, body, options) for step in part.steps]
        found += [
            Delta(step, fields, _finish(step, body, called=bool(calls)) if step.finish_reason else None)
            for step, fields in zip(part.steps, shown, strict=True)
        ]
    return found


@dataclass
class _Part:
    kind: Literal["reasoning", "content", "call"]
    steps: list[Step]
    text: str = ""
    closed: bool = False


def _read(generation: Generation, body: Body, options: Options) -> list[_Part]:
    """Cut a generation at its markers; a marker belongs to the part it opens or closes."""
    part = _Part("reasoning" if thinks(body, options) else "content", [])
    parts = [part]
    calls = may_call(body, options)
    for step in generation.steps:
        opens = calls and step.token == _TOOL_BEGIN
        if opens or part.closed:
            part = _Part("call" if opens else "content", [])
            parts.append(part)
        part.steps.append(step)
        part.text += step.text
        part.closed = (part.kind, step.token) in (("reasoning", _THINK_END), ("call", _TOOL_END))
    return parts


def _joined(parts: list[_Part], kind: str) -> str | None:
    texts = [part.text for part in parts if part.kind == kind]
    text = "".join(texts)
    # With nothing but calls or reasoning there is no content at all; an empty answer is "".
    return text if text or (texts and len(parts) == 1) else None


def _text_delta(kind: str, text: str, body: Body, options: Options) -> Fields | None:
    if kind == "reasoning" and not body["include_reasoning"]:
        return None
    names = options.behaviour.reasoning_names if kind == "reasoning" else (kind,)
    return dict.fromkeys(names, text) if text or not options.has_parser else None


def _call_deltas(part: _Part, index: int, call_id: str) -> list[Fields | None]:
    """A call's deltas: nothing until its name is known, then name and arguments as they come."""
    shown: list[Fields | None] = []
    text, sent = "", 0
    for step in part.steps:
        text += step.text
        head = _CALL_HEAD.match(text)
        fields: Fields | None = None
        if head and not sent:
            sent = head.end()
            function = {"name": head[1]}
            fields = {
                "content": None,
                "tool_calls": [{"id": call_id, "type": "function", "index": index, "function": function}],
            }
        elif head and len(text) - len(_CALL_TAIL) > sent:
            # What closes the call closes its arguments too: hold it back.
            arguments = text[sent : -len(_CALL_TAIL)]
            sent += len(arguments)
            fields = {"content": None, "tool_calls": [{"index": index, "function": {"arguments": arguments}}]}
        shown.append(fields)
    return shown


def _call_id(generation: Generation, place: int) -> str:
    digest = hashlib.sha256(json.dumps([generation.ids, place]).encode()).hexdigest()
    return f"chatcmpl-tool-{digest[:16]}"


def _finish(step: Step, body: Body, *, called: bool) -> str | None:
    """Calls end a reply as `tool_calls`, except the one that was named in the request."""
    if called and step.finish_reason == "stop" and not isinstance(body["tool_choice"], dict):
        return "tool_calls"
    return step.finish_reason
