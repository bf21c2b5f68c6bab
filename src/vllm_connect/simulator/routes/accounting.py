"""What chat and completions share: usage numbers, the frames of a stream, and time."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from vllm_connect.simulator.exchange import Frame, Stream, dump
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.refusals import Refused

DONE = b"data: [DONE]\n\n"
# A simulated step takes no time at all, which no clock of a real engine would say.
_LEAST_SECONDS = 1e-4


def usage(
    prompt_tokens: int,
    completion_tokens: int,
    reasoning_tokens: int | None = None,
    prompt_details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The `usage` object of a complete reply."""
    details = None if reasoning_tokens is None else {"reasoning_tokens": reasoning_tokens}
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": details,
    }


def prompt_details(cached: int, created: int | None, options: Options) -> dict[str, Any] | None:
    """What of a prompt was in the cache, where the server tells of it."""
    if not options.enable_prompt_tokens_details:
        return None
    return {"cached_tokens": cached, "created_cache_tokens": created, "multimodal_tokens": None}


def wanted_usage(body: Mapping[str, Any], options: Options) -> tuple[bool, bool]:
    """Whether a stream ends with its usage, and whether each chunk tells it."""
    if options.enable_force_include_usage:
        return True, True
    wanted = body["stream_options"] or {}
    at_end = bool(wanted.get("include_usage"))
    return at_end, at_end and bool(wanted.get("continuous_usage_stats"))


def closing(
    head: Mapping[str, Any], total: Mapping[str, Any], timed: Mapping[str, Any] | None, options: Options
) -> dict[str, Any]:
    """The chunk behind the last of a stream, which tells its usage; it leaves out what is null."""
    told = {"metrics": _filled(timed)} if timed else {}
    stamp = {"system_fingerprint": options.fingerprint}
    return {**head, "choices": [], "usage": _filled(total), **stamp, **told}


def _filled(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _filled(value) if isinstance(value, Mapping) else value
        for key, value in given.items()
        if value is not None
    }


def event(chunk: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + dump(chunk) + b"\n\n"


def named_event(chunk: Mapping[str, Any]) -> bytes:
    """One server-sent event under the name of its type."""
    return f"event: {chunk['type']}\n".encode() + event(chunk)


def paced(
    chunks: Iterable[tuple[int, Mapping[str, Any]]],
    options: Options,
    *,
    write: Callable[[Mapping[str, Any]], bytes] = event,
    end: bytes = DONE,
) -> Iterator[Frame]:
    """Chunks as frames in time: each comes with the count of engine steps it waited for."""
    began = False
    for steps, chunk in chunks:
        delay = steps * options.token_delay
        if steps and not began:
            began = True
            delay += options.first_token_delay - options.token_delay
        yield Frame(write(chunk), delay)
    if end:
        yield Frame(end)


def duration(steps: int, options: Options) -> float:
    """How long a reply of so many steps takes."""
    return options.first_token_delay + max(0, steps - 1) * options.token_delay if steps else 0.0


def timing(steps: int, options: Options) -> dict[str, Any] | None:
    """The `metrics` of a reply of so many steps, where the server tells of them."""
    if not options.enable_per_request_metrics:
        return None
    first = max(options.first_token_delay, _LEAST_SECONDS)
    others = (steps - 1) * max(options.token_delay, _LEAST_SECONDS)
    return {
        "time_to_first_token_ms": first * 1000,
        "generation_time_ms": others * 1000,
        "queue_time_ms": 0.0,
        "mean_itl_ms": others / (steps - 1) * 1000 if steps > 1 else None,
        "tokens_per_second": steps / (first + others),
        "speculative_decoding": None,
    }


def refused_stream(refused: Refused, options: Options) -> Stream:
    """What the engine refuses after a stream's 200 is out: an error event, then the end."""
    # This one chunk is written by json.dumps, whose separators are not compact.
    error = json.loads(refused.answer.body)["error"]
    content = json.dumps({"error": error if options.behaviour.nests_errors else {"object": "error", **error}})
    return Stream((Frame(f"data: {content}\n\n".encode()), Frame(DONE)))
