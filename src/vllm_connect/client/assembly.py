"""The events of a streamed call -> the answer that the plain call would have got (`long_calls`).

A plain call sends no byte before its end: nothing tells a server at work from one that is gone; the same call as a
stream does. vLLM answers both ways alike where a request names only what stands in `ALLOWED`; each of these is proven
against real vLLM under one seed (`tests/live/test_assembly.py`). What is not, and why:

- tools: a stream makes up the ids of calls, and parses them otherwise
- beam search: a stream has only its last event
- `prompt_logprobs`, `echo`: a stream has no log probabilities of the prompt, and refuses or drops them
- `kv_transfer_params`, `ec_transfer_params`, routed experts: a stream has no place for them
- `include_reasoning`, `thinking_token_budget`, and each chat of a server that parses reasoning: a plain answer is
  stripped of white space, and counts `reasoning_tokens` otherwise. No request tells of such a server; its answers do
  (`parses_reasoning`)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openai.types.chat import ChatCompletion

from vllm_connect.client.replies import NotAnAnswer, parsed

__all__ = ["ALLOWED", "Assembly", "Route", "as_stream", "can_be_streamed", "parses_reasoning"]

Route = Literal["chat", "completion"]

# -- which calls


def _anything(_: object) -> bool:
    return True


def _nothing(value: object) -> bool:
    return value is None


def _off(value: object) -> bool:
    return value is None or value is False


_COMMON: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        (
            *("model", "n", "seed", "user", "max_tokens", "temperature", "top_p", "top_k", "min_p"),
            *("frequency_penalty", "presence_penalty", "repetition_penalty", "logit_bias"),
            *("stop", "stop_token_ids", "include_stop_str_in_output", "ignore_eos", "min_tokens"),
            *("allowed_token_ids", "bad_words", "structured_outputs", "response_format"),
            *("logprobs", "logprob_token_ids", "return_token_ids", "return_tokens_as_token_ids"),
            *("skip_special_tokens", "spaces_between_special_tokens", "add_special_tokens"),
            *("truncate_prompt_tokens", "truncation_side", "repetition_detection"),
            *("priority", "request_id", "session_id", "cache_salt", "stream_interval"),
        ),
        _anything,
    ),
    **dict.fromkeys(("stream", "echo", "use_beam_search"), _off),
    **dict.fromkeys(("stream_options", "prompt_logprobs", "kv_transfer_params"), _nothing),
}
# The fields of a request that leave its answer the same as a stream, each with the values for which that holds.
ALLOWED: dict[Route, dict[str, Callable[[object], bool]]] = {
    "chat": {
        **_COMMON,
        **dict.fromkeys(
            (
                *("messages", "max_completion_tokens", "top_logprobs", "reasoning_effort"),
                *("chat_template_kwargs", "add_generation_prompt", "continue_final_message"),
                *("documents", "return_prompt_text"),
            ),
            _anything,
        ),
        "tools": _nothing,
        "tool_choice": lambda value: value in (None, "none"),
    },
    "completion": {**_COMMON, "prompt": _anything},
}


def can_be_streamed(route: Route, body: Mapping[str, object]) -> bool:
    """Whether vLLM is known to answer this plain request as a stream with the same content."""
    allowed = ALLOWED[route]
    return all(name in allowed and allowed[name](value) for name, value in body.items())


def parses_reasoning(answer: ChatCompletion) -> bool:
    """Whether an answer comes from a server that parses reasoning.

    Such a server tells how many tokens were reasoning (since 0.28), and before that names the reasoning it found.
    """
    if getattr(answer.usage, "completion_tokens_details", None) is not None:
        return True
    return any(getattr(choice.message, "reasoning", None) is not None for choice in answer.choices)


def as_stream(body: Mapping[str, Any], *, interval: int | None) -> dict[str, Any]:
    """Return the request for the same answer as a stream with its usage.

    `interval` is how many tokens come in one event where the server knows `stream_interval` (vLLM 0.31 and 0.32 do; an
    older one ignores it, another kind of server may refuse it). A caller's own stays; None leaves it out.
    """
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    return streamed if interval is None else {"stream_interval": interval, **streamed}


# -- the answer


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """What a plain answer of vLLM 0.32 names, in its order, even where it is null."""

    object: str
    answer: tuple[str, ...]
    choice: tuple[str, ...]


_ANSWER = ("id", "object", "created", "model", "choices", "service_tier", "system_fingerprint", "usage")
_PROMPT = ("prompt_logprobs", "prompt_token_ids", "prompt_text")
_END = ("kv_transfer_params", "ec_transfer_params", "metrics")
_FINISH = ("logprobs", "finish_reason", "stop_reason", "token_ids")
_SHAPES: dict[Route, _Shape] = {
    "chat": _Shape(
        object="chat.completion",
        answer=(*_ANSWER, *_PROMPT, *_END),
        choice=("index", "message", *_FINISH, "routed_experts"),
    ),
    "completion": _Shape(
        object="text_completion",
        answer=(*_ANSWER, *_END),
        choice=("index", "text", *_FINISH, "prompt_logprobs", "prompt_token_ids", "routed_experts"),
    ),
}
_MESSAGE = ("role", "content", "refusal", "annotations", "audio", "function_call", "reasoning")
_USAGE = (
    *("prompt_tokens", "total_tokens", "completion_tokens"),
    *("prompt_tokens_details", "completion_tokens_details"),
)
_PROMPT_TOKENS = ("cached_tokens", "created_cache_tokens", "multimodal_tokens")
_METRICS = (
    *("time_to_first_token_ms", "generation_time_ms", "queue_time_ms"),
    *("mean_itl_ms", "tokens_per_second", "speculative_decoding"),
)
# The texts that come in pieces.
_PIECED = frozenset({"text", "content", "reasoning", "reasoning_content", "refusal"})


class Assembly:
    """Puts the events of one stream together, in the order in which they come.

    Whether the stream is complete is for its reader to say: `[DONE]` is no event of it, and a choice without a
    finish reason has None in `finish_reasons`.
    """

    def __init__(self, route: Route) -> None:
        self._shape = _SHAPES[route]
        self._named: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    @property
    def finish_reasons(self) -> dict[int, str | None]:
        """The finish reason of each choice that came, by its index."""
        return {index: choice.get("finish_reason") for index, choice in self._choices.items()}

    def add(self, payload: bytes) -> None:
        """Take the payload of an event; raises `ErrorInAnswer` for an error, `NotAnAnswer` for what is no chunk."""
        chunk = parsed(payload)
        choices = chunk.pop("choices", None)
        if not isinstance(choices, list):
            raise NotAnAnswer("it has no list of choices")
        # Each event names all that is of the whole, or nothing: the last one is right.
        self._named.update((name, value) for name, value in chunk.items() if value is not None)
        for choice in choices:
            if not isinstance(choice, dict) or type(choice.get("index")) is not int:
                raise NotAnAnswer("one of its choices has no index")
            _grow(self._choices.setdefault(choice["index"], {}), choice)

    def result(self) -> bytes:
        """Return the body of the plain answer."""
        whole = {**self._named, "object": self._shape.object}
        whole["choices"] = [self._choice(self._choices[index]) for index in sorted(self._choices)]
        _name_inside(whole, "usage", _USAGE)
        _name_inside(whole.get("usage"), "prompt_tokens_details", _PROMPT_TOKENS)
        _name_inside(whole, "metrics", _METRICS)
        return json.dumps(_named(whole, self._shape.answer)).encode()

    def _choice(self, grown: dict[str, Any]) -> dict[str, Any]:
        choice = _joined(grown)
        if "message" not in self._shape.choice:
            return _named({"text": "", **choice}, self._shape.choice)
        delta = choice.pop("delta", {})
        if not isinstance(delta, dict) or "tool_calls" in delta:
            raise NotAnAnswer("one of its messages is not made of text")
        message = {"content": self._silence, **_joined(delta)}
        return _named({**choice, "message": _named(message, _MESSAGE)}, self._shape.choice)

    @property
    def _silence(self) -> str | None:
        """The content of a plain answer that says nothing: null where reasoning is parsed, an empty text elsewhere."""
        usage = self._named.get("usage")
        counts_reasoning = isinstance(usage, dict) and usage.get("completion_tokens_details") is not None
        return None if counts_reasoning else ""


class _Pieces(list[str]):
    """A text in the making. Joining it at each event would copy a long one as often as it has events."""


_GROWING = frozenset({dict, list, _Pieces})


def _grow(whole: dict[str, Any], part: dict[str, Any]) -> None:
    """Add what an event says of a choice to what came before: texts and lists go on, the rest is replaced."""
    for name, said in part.items():
        if said is None or (name == "content" and not said and "role" in part):
            continue  # an empty content opens every message, also one whose content stays null
        value = _Pieces((said,)) if name in _PIECED and isinstance(said, str) else said
        before = whole.get(name)
        if before is not None and type(before) is not type(value) and _GROWING & {type(before), type(value)}:
            raise NotAnAnswer(f"its {name} does not go on what came before")
        if isinstance(value, dict):
            _grow(whole.setdefault(name, {}), value)
        elif isinstance(before, list):
            before.extend(value)
        else:
            whole[name] = value


def _joined(grown: dict[str, Any]) -> dict[str, Any]:
    return {name: "".join(value) if isinstance(value, _Pieces) else value for name, value in grown.items()}


def _named(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the values in the order of the names, None for one that is missing, then those that have no name here."""
    return {**{name: values.get(name) for name in names}, **values}


def _name_inside(whole: Any, name: str, names: Iterable[str]) -> None:
    if isinstance(whole, dict) and isinstance(whole.get(name), dict):
        whole[name] = _named(whole[name], names)
