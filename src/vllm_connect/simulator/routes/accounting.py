"""What chat and completions share: usage numbers, the frames of a stream, and time."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vllm_connect.simulator.exchange import Frame, Stream, dump
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.refusals import Refused

DONE = b"data: [DONE]\n\n"


def usage(prompt_tokens: int, completion_tokens: int, reasoning_tokens: int | None = None) -> dict[str, Any]:
    """The `usage` object of a complete reply."""
    details = None if reasoning_tokens is None else {"reasoning_tokens": reasoning_tokens}
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": None,
        "completion_tokens_details": details,
    }


def event(chunk: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + dump(chunk) + b"\n\n"


def paced(chunks: Iterable[tuple[int, Mapping[str, Any]]], options: Options) -> Iterator[Frame]:
    """Chunks as frames in time: each comes with the count of engine steps it waited for."""
    began = False
    for steps, chunk in chunks:
        delay = steps * options.token_delay
        if steps and not began:
            began = True
            delay += options.first_token_delay - options.token_delay
        yield Frame(event(chunk), delay)
    yield Frame(DONE)


def duration(steps: int, options: Options) -> float:
    """How long a reply of so many steps takes."""
    return options.first_token_delay + max(0, steps - 1) * options.token_delay if steps else 0.0


def refused_stream(refused: Refused, options: Options) -> Stream:
    """What the engine refuses after a stream's 200 is out: an error event, then the end."""
    # This one chunk is written by json.dumps, whose separators are not compact.
    error = json.loads(refused.answer.body)["error"]
    content = json.dumps({"error": error if options.behaviour.nests_errors else {"object": "error", **error}})
    return Stream((Frame(f"data: {content}\n\n".encode()), Frame(DONE)))
