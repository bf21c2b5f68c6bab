"""How the pooling routes send what the model made: as numbers, as base64, or as bare bytes."""

import base64
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vllm_connect.simulator.exchange import Frame, Routed, Stream, Work, json_response
from vllm_connect.simulator.model.vectors import Vector, packed
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.routes.accounting import duration, usage

Output = Vector | tuple[Vector, ...]
"""One vector for an input, or one for each of its tokens."""


@dataclass(frozen=True)
class Pooled:
    """What one answer of a pooling route is made of, apart from its items."""

    name: str
    body: Body
    work: Work
    options: Options


def listed(items: list[dict[str, Any]], pooled: Pooled) -> Routed:
    """The usual answer: a list of items and what was read for it."""
    answer = {
        "id": pooled.name,
        "object": "list",
        "created": int(time.time()),
        "model": pooled.options.models[0],
        "data": items,
        "usage": usage(pooled.work.prompt_tokens, 0),
    }
    return json_response(answer, delay=duration(1, pooled.options), work=pooled.work)


def encoded(output: Output, body: Body) -> Any:
    """One output as it stands in JSON."""
    if body["encoding_format"] == "float":
        return output
    return base64.b64encode(_bytes(output, body)).decode()


def is_raw(body: Body) -> bool:
    """Whether bare bytes are wanted."""
    return body["encoding_format"] in ("bytes", "bytes_only")


def raw(outputs: Sequence[Output], pooled: Pooled) -> Routed:
    """The outputs as bare bytes; where each lies stands in a header, unless only the bytes are wanted."""
    body = pooled.body
    pieces = [_bytes(output, body) for output in outputs]
    ends = list(itertools.accumulate(map(len, pieces)))
    read = pooled.work.prompt_tokens
    metadata = {
        "id": pooled.name,
        "created": int(time.time()),
        "model": pooled.options.models[0],
        "data": [
            {
                "index": index,
                "embed_dtype": body["embed_dtype"],
                "endianness": body["endianness"],
                "start": end - len(piece),
                "end": end,
                "shape": _shape(output),
            }
            for index, (output, piece, end) in enumerate(zip(outputs, pieces, ends, strict=True))
        ],
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }
    described = ((b"metadata", json.dumps(metadata).encode()),) if body["encoding_format"] == "bytes" else ()
    headers = (*described, (b"content-type", b"application/octet-stream"))
    wait = duration(1, pooled.options)
    frames = [Frame(piece, 0.0 if index else wait) for index, piece in enumerate(pieces)]
    return Stream(frames, headers, pooled.work)


def _rows(output: Output) -> tuple[Vector, ...]:
    return output if output and isinstance(output[0], tuple) else (output,)  # type: ignore[return-value]


def _shape(output: Output) -> list[int]:
    rows = _rows(output)
    return [len(rows), len(rows[0])] if rows is output else [len(rows[0])]


def _bytes(output: Output, body: Body) -> bytes:
    return b"".join(packed(row, body["embed_dtype"], body["endianness"]) for row in _rows(output))
