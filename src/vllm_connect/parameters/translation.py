"""Exact translations: the same request in the words of another vLLM release.

Each takes a body and a dialect and returns what changes, or None where there is nothing to translate or no exact way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_connect.facts.parameters import RequestKind
from vllm_connect.parameters.dialect import Dialect

__all__ = ["TRANSLATIONS", "Change", "Translation"]

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """What a translation does to a body, and how that is said: `old` became `new`.

    `is_needed` says whether the server would lose it else.
    """

    old: str
    new: str
    drops: frozenset[str]
    puts: Mapping[str, Any]
    is_needed: bool = True


Translation = Callable[[Body, Dialect], Change | None]

# What vLLM before 0.11 called the fields of `structured_outputs`.
GUIDED = {
    "guided_json": "json",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
    "guided_json_object": "json_object",
    "structural_tag": "structural_tag",
    "guided_whitespace_pattern": "whitespace_pattern",
}
CONSTRAINTS = frozenset({"json", "regex", "choice", "grammar", "json_object", "structural_tag"})


def _guided(body: Body, dialect: Dialect) -> Change | None:
    """guided_json and its like -> structured_outputs."""
    given = {name: body[name] for name in GUIDED if body.get(name) not in (None, False)}
    lost = {name: value for name, value in given.items() if dialect.knows(name) is not True}
    fields = {GUIDED[name]: value for name, value in lost.items()}
    if CONSTRAINTS.isdisjoint(fields) or body.get("structured_outputs") is not None:
        return None
    if dialect.knows("structured_outputs") is False:
        return None
    # Where the release is not known both leave: each release reads one of them.
    drops = frozenset(name for name in lost if dialect.knows(name) is False)
    return Change(", ".join(lost), "structured_outputs", drops, {"structured_outputs": fields})


def _structured(body: Body, dialect: Dialect) -> Change | None:
    """structured_outputs -> guided_json and its like, for a release before 0.11."""
    fields = body.get("structured_outputs")
    if not isinstance(fields, Mapping) or dialect.knows("structured_outputs") is not False:
        return None
    named = {field: name for name, field in GUIDED.items() if dialect.knows(name)}
    wanted = {field: value for field, value in fields.items() if value is not None and value is not False}
    puts: dict[str, Any]
    if wanted.keys() == {"json_object"} and body.get("response_format") is None:
        puts = {"response_format": {"type": "json_object"}}
    elif wanted and wanted.keys() <= named.keys():
        puts = {named[field]: value for field, value in wanted.items()}
    else:
        return None
    return Change("structured_outputs", ", ".join(puts), frozenset({"structured_outputs"}), puts)


def _functions(body: Body, dialect: Dialect) -> Change | None:
    """Legacy functions and function_call -> tools and tool_choice, in the history too."""
    functions = body.get("functions")
    if not isinstance(functions, list | tuple) or not functions or body.get("tools"):
        return None
    if dialect.knows("functions") is not False or dialect.knows("tools") is False:
        return None
    tools = [{"type": "function", "function": function} for function in functions]
    puts: dict[str, Any] = {"tools": tools, "parallel_tool_calls": False}
    choice = body.get("function_call")
    if isinstance(choice, Mapping):
        puts["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif choice is not None:
        puts["tool_choice"] = choice
    messages = body.get("messages")
    if isinstance(messages, list) and any(_is_legacy(message) for message in messages):
        puts["messages"] = _with_tool_calls(messages)
    return Change("functions", "tools", frozenset({"functions", "function_call"}), puts)


def _is_legacy(message: Any) -> bool:
    return isinstance(message, Mapping) and (message.get("role") == "function" or "function_call" in message)


def _with_tool_calls(messages: list[Any]) -> list[Any]:
    """Return a history whose calls have ids, each shared with the result that follows."""
    translated = []
    called = ""
    for at, message in enumerate(messages):
        one = message
        if isinstance(message, Mapping):
            call = message.get("function_call")
            if "function_call" in message:
                one = {name: value for name, value in message.items() if name != "function_call"}
            if call:
                called = f"call_{at}"
                one["tool_calls"] = [{"id": called, "type": "function", "function": call}]
            elif message.get("role") == "function":
                one = {"role": "tool", "tool_call_id": called, "content": message.get("content")}
        translated.append(one)
    return translated


def _reasoning(body: Body, dialect: Dialect) -> Change | None:
    """reasoning_content of earlier answers -> reasoning, which releases from 0.16 on call it."""
    messages = body.get("messages")
    if not isinstance(messages, list) or dialect.has("0.16.0") is not True:
        return None
    if not any(isinstance(message, Mapping) and "reasoning_content" in message for message in messages):
        return None
    renamed = [_renamed(message) for message in messages]
    # From 0.22.1 on the server itself renames it again.
    is_needed = not dialect.has("0.22.1")
    return Change("reasoning_content", "reasoning", frozenset(), {"messages": renamed}, is_needed)


def _renamed(message: Any) -> Any:
    if not isinstance(message, Mapping) or "reasoning_content" not in message:
        return message
    one = {name: value for name, value in message.items() if name != "reasoning_content"}
    if one.get("reasoning") is None and message["reasoning_content"] is not None:
        one["reasoning"] = message["reasoning_content"]
    return one


def _named(old: str, new: str) -> Translation:
    """One name for another, with the same value."""

    def translate(body: Body, dialect: Dialect) -> Change | None:
        value = body.get(old)
        if value is None or dialect.knows(old) is not False or not dialect.knows(new):
            return None
        puts = {} if body.get(new) is not None else {new: value}
        return Change(old, new, frozenset({old}), puts)

    return translate


def _response_format(body: Body, dialect: Dialect) -> Change | None:
    """response_format -> text.format of the Responses API."""
    form = body.get("response_format")
    text = body.get("text")
    if not isinstance(form, Mapping) or dialect.knows("text") is False:
        return None
    if text is not None and (not isinstance(text, Mapping) or text.get("format") is not None):
        return None
    kind, schema = form.get("type"), form.get("json_schema")
    if kind == "json_schema" and isinstance(schema, Mapping):
        written = {"type": kind, **schema}
    elif kind in ("text", "json_object"):
        written = {"type": kind}
    else:
        return None
    puts = {"text": {**(text or {}), "format": written}}
    return Change("response_format", "text.format", frozenset({"response_format"}), puts)


def _effort(body: Body, dialect: Dialect) -> Change | None:
    """reasoning_effort -> reasoning.effort of the Responses API."""
    effort, reasoning = body.get("reasoning_effort"), body.get("reasoning")
    if effort is None or dialect.knows("reasoning") is False:
        return None
    if reasoning is not None and (not isinstance(reasoning, Mapping) or reasoning.get("effort") is not None):
        return None
    puts = {"reasoning": {**(reasoning or {}), "effort": effort}}
    return Change("reasoning_effort", "reasoning.effort", frozenset({"reasoning_effort"}), puts)


TRANSLATIONS: Mapping[RequestKind, tuple[Translation, ...]] = {
    "chat": (_guided, _structured, _functions, _reasoning),
    "completions": (_guided, _structured, _named("max_completion_tokens", "max_tokens")),
    "embeddings": (_named("normalize", "use_activation"), _named("use_activation", "normalize")),
    "responses": (
        _guided,
        _named("max_tokens", "max_output_tokens"),
        _named("max_completion_tokens", "max_output_tokens"),
        _response_format,
        _effort,
    ),
}
