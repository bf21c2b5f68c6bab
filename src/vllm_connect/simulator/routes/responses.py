"""POST /v1/responses, and what has been stored of it."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from vllm_connect.simulator.engine import Engine, StoredResponse
from vllm_connect.simulator.exchange import Frame, RecordedRequest, Routed, Stream, Work, json_response
from vllm_connect.simulator.model import sampling
from vllm_connect.simulator.model.generation import Generation
from vllm_connect.simulator.model.message import Message, deltas, message
from vllm_connect.simulator.model.tokens import decode
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake, parameters
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, Refused, refuse
from vllm_connect.simulator.routes import accounting
from vllm_connect.simulator.routes.accounting import duration, named_event, paced
from vllm_connect.simulator.routes.dialogue import Dialogue, chat_body, check_in_engine, opened, replies, work
from vllm_connect.simulator.routes.response_events import Timed, events
from vllm_connect.simulator.routes.response_items import Item, items, new_id

_NOT_FOUND: Final = Refusal(
    "Response with id '{id}' not found.", status=404, kind="invalid_request_error", param="response_id"
)
_SYNCHRONOUS: Final = Refusal(
    "Cannot cancel a synchronous response.", kind="invalid_request_error", param="response_id"
)
_NO_STORE: Final = Refusal(
    "This vLLM engine does not support `store=True` and therefore does not support the background mode."
    " To enable these features, set the environment variable `VLLM_ENABLE_RESPONSES_API_STORE=1` when launching"
    " the vLLM server.",
    kind="invalid_request_error",
    param="background",
)
_TWO_HISTORIES: Final = Refusal(
    "Only one of `previous_input_messages` and `previous_response_id` can be set.",
    kind="invalid_request_error",
    param="previous_response_id",
)
_TWO_FORMATS: Final = Refusal("Cannot specify both structured_outputs and text.format", "structured_outputs")
# The tools whose fields are shown, all of them, as vLLM's own objects have them.
_TOOLS: Final = {
    "function": (
        "name", "parameters", "strict", "type", "allowed_callers", "async", "defer_loading", "description",
        "output_schema",
    ),
    "web_search": ("type", "external_web_access", "filters", "search_context_size", "user_location"),
}  # fmt: skip
_SCHEMA_FORMAT: Final = ("name", "schema", "type", "description", "strict")
_REASONING: Final = ("context", "effort", "generate_summary", "mode", "summary")


def create(request: RecordedRequest, engine: Engine) -> Routed:
    """Answer an input, at once, as a stream, or later."""
    body = intake.read(request, intake.RESPONSE, engine.options)
    options = engine.options
    engine.check_model(body["model"])
    _check_store(body, options)
    stored = body["store"] and options.enable_responses_api_store
    messages = _messages(body, engine)
    dialogue = opened(_as_chat(body, messages), engine, "max_tokens", "max_output_tokens")
    if body["structured_outputs"] and _format(body):
        raise refuse(_TWO_FORMATS)
    reply = _Reply(body, dialogue, engine)
    try:
        check_in_engine(dialogue, options)
    except Refused:
        if not body["stream"]:
            raise
        # Here vLLM breaks the stream off.
        begun = reply.events[:2]
        return Stream(paced(begun, options, write=named_event, end=b""))
    told = reply.events if body["stream"] else []
    response = told[-1][1]["response"] if told else reply.whole
    if stored:
        ready = time.monotonic() + (duration(reply.steps, options) if body["background"] else 0.0)
        kept = tuple(told) if body["background"] and body["stream"] else ()
        under_way = reply.shown(None, "queued") if body["background"] else None
        engine.responses[response["id"]] = StoredResponse(response, under_way, messages, kept, ready)
    if body["stream"]:
        return Stream(paced(told, options, write=named_event, end=b""), work=reply.work)
    if body["background"]:
        return json_response(reply.shown(None, "queued"))
    return json_response(response, delay=duration(reply.steps, options), work=reply.work)


def retrieve(request: RecordedRequest, engine: Engine) -> Routed:
    """GET /v1/responses/{response_id}: a stored response, or the events of one that ran in the background."""
    asked = intake.query(request, parameters.STORED_RESPONSE)
    stored = _stored(request.path.rpartition("/")[2], engine)
    if not asked["stream"]:
        return json_response(stored.at(time.monotonic()))
    start = 0 if asked["starting_after"] is None else asked["starting_after"] + 1
    return Stream([Frame(named_event(event)) for _, event in stored.events[start:]])


def cancel(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /v1/responses/{response_id}/cancel: give up what runs in the background."""
    stored = _stored(request.path.split("/")[-2], engine)
    shown = stored.at(time.monotonic())
    if shown["status"] != "queued":
        raise refuse(_SYNCHRONOUS)
    cancelled = {**shown, "status": "cancelled"}
    engine.responses[shown["id"]] = replace(stored, response=cancelled, under_way=None)
    return json_response(cancelled)


class _Reply:
    """What the model says to one request, as the response that is shown of it."""

    def __init__(self, body: Body, dialogue: Dialogue, engine: Engine) -> None:
        self._body = body
        self._dialogue = dialogue
        self._engine = engine
        self._created = int(time.time())
        self._id = body["request_id"] or new_id("resp")

    @property
    def steps(self) -> int:
        """How many steps the engine takes for it."""
        return len(self._generation.steps)

    @property
    def work(self) -> Work:
        """What it costs the engine."""
        return work(self._dialogue, [self._generation])

    @property
    def whole(self) -> Item:
        """The complete response."""
        return self.shown(items(self._message, self._top))

    @property
    def events(self) -> list[Timed]:
        """The response as the events of a stream."""
        told = deltas(self._generation, self._dialogue.body, self._engine.options)
        return list(events(self._generation, told, self._top, self.shown))

    def shown(self, output: list[Item] | None, under_way: str = "in_progress") -> Item:
        """The response: without items as long as it is under way, with them when it is complete."""
        body, chat = self._body, self._dialogue.body
        cut = output is not None and self._generation.last.finish_reason == "length"
        greedy = sampling.is_greedy(chat)
        tells = body["enable_response_messages"] and output is not None
        timing = accounting.timing(self.steps, self._engine.options)
        return {
            "id": self._id,
            "created_at": self._created,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": body["instructions"],
            "metadata": body["metadata"],
            "model": self._engine.answering_model(body["model"]),
            "object": "response",
            "output": output or [],
            "parallel_tool_calls": body["parallel_tool_calls"],
            "temperature": 1.0 if body["temperature"] is None else body["temperature"],
            "tool_choice": _shown_choice(body["tool_choice"]),
            "tools": [_shown_tool(tool) for tool in body["tools"]],
            "top_p": 1.0 if greedy or body["top_p"] is None else body["top_p"],
            "background": body["background"],
            "max_output_tokens": self._dialogue.limits.max_tokens,
            "max_tool_calls": body["max_tool_calls"],
            "previous_response_id": body["previous_response_id"],
            "prompt": None,
            "reasoning": _padded(body["reasoning"], _REASONING),
            "service_tier": body["service_tier"],
            "status": under_way if output is None else "incomplete" if cut else "completed",
            "text": _shown_text(body["text"]),
            "top_logprobs": self._top,
            "truncation": body["truncation"],
            "usage": None if output is None else self._usage,
            "user": body["user"],
            **({"metrics": timing} if timing and output is not None else {}),
            "presence_penalty": body["presence_penalty"] or 0.0,
            "frequency_penalty": body["frequency_penalty"] or 0.0,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "input_messages": _raw(self._dialogue.prompt) if tells else None,
            "output_messages": _raw(self._generation.ids) if tells else None,
        }

    @cached_property
    def _generation(self) -> Generation:
        return replies(self._dialogue, self._engine.options)[0]

    @cached_property
    def _message(self) -> Message:
        return message(self._generation, self._dialogue.body, self._engine.options)

    @property
    def _top(self) -> int | None:
        wanted = "message.output_text.logprobs" in (self._body["include"] or ())
        return (self._body["top_logprobs"] or 0) if wanted else None

    @property
    def _usage(self) -> Item:
        read, written = len(self._dialogue.prompt), self.steps
        thought = self._message.reasoning_tokens if self._engine.options.reasoning_parser else 0
        return {
            "input_tokens": read,
            "input_tokens_details": {
                "cached_tokens": self._dialogue.cached,
                "cache_write_tokens": 0,
                "input_tokens_per_turn": [],
                "cached_tokens_per_turn": [],
            },
            "output_tokens": written,
            "output_tokens_details": {
                "reasoning_tokens": thought,
                "tool_output_tokens": 0,
                "output_tokens_per_turn": [],
                "tool_output_tokens_per_turn": [],
            },
            "total_tokens": read + written,
        }


def _raw(ids: list[int]) -> list[Item]:
    """What went into the model or came out of it, as it is."""
    return [{"message": decode(ids), "tokens": ids, "type": "raw_message_tokens"}]


def _check_store(body: Body, options: Options) -> None:
    if body["store"] and body["background"] and not options.enable_responses_api_store:
        raise refuse(_NO_STORE)
    if body["previous_input_messages"] and body["previous_response_id"]:
        raise refuse(_TWO_HISTORIES)


def _stored(response_id: str, engine: Engine) -> StoredResponse:
    if response_id not in engine.responses:
        raise refuse(_NOT_FOUND, id=response_id)
    return engine.responses[response_id]


def _messages(body: Body, engine: Engine) -> list[Item]:
    """The conversation: instructions, what went before, the new input."""
    messages = [{"role": "system", "content": body["instructions"]}] if body["instructions"] else []
    if body["previous_response_id"]:
        before = _stored(body["previous_response_id"], engine)
        messages += [one for one in before.messages if one["role"] != "system"]
        messages += [
            {"role": "assistant", "content": part["text"]}
            for item in before.response["output"]
            if item["type"] == "message"
            for part in item["content"]
        ]
    if isinstance(body["input"], str):
        return [*messages, {"role": "user", "content": body["input"]}]
    return messages + [_as_message(item) for item in body["input"]]


def _as_message(item: Item) -> Item:
    match item.get("type"):
        case "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            return {"role": "assistant", "tool_calls": [{"id": item.get("call_id"), "function": function}]}
        case "function_call_output":
            return {"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")}
        case "reasoning":
            return {"role": "assistant", "content": None}
        case _:
            return item


def _as_chat(body: Body, messages: list[Item]) -> Body:
    """The same request in the terms of /v1/chat/completions."""
    same = (
        "model", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
        "frequency_penalty", "logit_bias", "seed", "stop", "stop_token_ids", "ignore_eos", "stream",
        "include_stop_str_in_output", "skip_special_tokens", "structured_outputs", "include_reasoning",
        "parallel_tool_calls", "chat_template_kwargs",
    )  # fmt: skip
    tools = [
        {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
        for tool in body["tools"]
        if tool.get("type") == "function"
    ]
    choice = body["tool_choice"]
    wanted_logprobs = "message.output_text.logprobs" in (body["include"] or ())
    return chat_body(
        {
            **{name: body[name] for name in same},
            "messages": messages,
            "max_tokens": body["max_output_tokens"],
            "tools": tools or None,
            "tool_choice": {"type": "function", "function": choice} if isinstance(choice, dict) else choice,
            "reasoning_effort": (body["reasoning"] or {}).get("effort"),
            "response_format": _format(body),
            "logprobs": wanted_logprobs,
            "top_logprobs": body["top_logprobs"],
        }
    )


def _format(body: Body) -> Item | None:
    """The format of the text in the terms of a chat's response_format; None for plain text."""
    match (body["text"] or {}).get("format"):
        case {"type": "json_schema", **described}:
            return {"type": "json_schema", "json_schema": described}
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case _:
            return None


def _shown_choice(choice: str | Item) -> str | Item | None:
    return choice if isinstance(choice, str) else _padded(choice, ("name", "type"))


def _shown_tool(tool: Item) -> Item:
    names = _TOOLS.get(tool["type"])
    return tool if names is None else {name: tool.get(name) for name in names}


def _shown_text(text: Item | None) -> Item | None:
    if text is None:
        return None
    described = text.get("format")
    if described and described.get("type") == "json_schema":
        described = _padded(described, _SCHEMA_FORMAT)
    return {"format": described, "verbosity": text.get("verbosity")}


def _padded(given: Mapping[str, Any] | None, names: tuple[str, ...]) -> Item | None:
    """An object with all the fields that vLLM's own has."""
    return None if given is None else {name: given.get(name) for name in names}
