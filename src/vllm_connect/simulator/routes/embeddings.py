"""POST /v1/embeddings."""

import array
import base64
import itertools
import json
import math
import struct
import time
from functools import lru_cache
from random import Random
from typing import Any

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import Frame, RecordedRequest, Routed, Stream, Work, json_response
from vllm_connect.simulator.model.prompts import chat_text, prompts
from vllm_connect.simulator.model.sampling import check_text_length, check_vocabulary, fit_prompt
from vllm_connect.simulator.model.tokens import BEGIN, END, encode
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import NO_DIMENSIONS, NO_POOLING_MODEL, Refusal, refuse
from vllm_connect.simulator.routes.accounting import duration, usage

_TRUNCATION_TOO_LONG = Refusal(
    "truncate_prompt_tokens value is greater than max_model_len. Please request a smaller truncation size."
)
_NO_FLOAT8 = Refusal("The simulator does not encode embed_dtype={dtype}", "embed_dtype")


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Embed one or several texts."""
    body = intake.read(request, intake.EMBEDDING, engine.options)
    options = engine.options
    check_model(body["model"], engine)
    inputs = read_inputs(body, options)
    if body["dimensions"] is not None:
        raise refuse(NO_DIMENSIONS, model=options.models[0], dimensions=body["dimensions"])
    vectors = [embed(tuple(ids), options.dimensions) for ids in inputs]
    prompted = sum(map(len, inputs))
    if body["encoding_format"] in ("bytes", "bytes_only"):
        return _raw(vectors, prompted, request, body, options)
    content = {
        "id": f"embd-{intake.request_id(request, body)}",
        "object": "list",
        "created": int(time.time()),
        "model": options.models[0],
        "data": [
            {"index": index, "object": "embedding", "embedding": _encoded(vector, body)}
            for index, vector in enumerate(vectors)
        ],
        "usage": usage(prompted, 0),
    }
    return json_response(content, delay=duration(1, options), work=Work(len(inputs), prompted))


def check_model(name: str | None, engine: Engine) -> None:
    """Refuse a model that is not served, in the words of the pooling routes."""
    if name and name not in engine.options.models and name not in engine.adapters:
        raise refuse(NO_POOLING_MODEL, model=name)


def read_inputs(body: Body, options: Options) -> list[list[int]]:
    """The token ids of every input: texts, token ids or a conversation."""
    conversation = _conversation(body)
    if conversation:
        rendered = {"add_generation_prompt": False, **body, "messages": conversation}
        return [pooled_prompt(chat_text(rendered, options), body, options)]
    kept = body["truncate_prompt_tokens"]
    if kept is not None and kept > options.max_model_len:
        raise refuse(_TRUNCATION_TOO_LONG)
    ids = [pooled_prompt(one, body, options) for one in prompts(body["input"])]
    check_vocabulary(ids)
    return ids


def _conversation(body: Body) -> list[Any] | None:
    """Messages, which may come under the name of an input; where both are given, the input counts."""
    given = body["input"]
    if given is None:
        messages: list[Any] | None = body["messages"]
        return messages
    return given if isinstance(given, list) and given and isinstance(given[0], dict) else None


def pooled_prompt(given: str | list[int], body: Body, options: Options) -> list[int]:
    """The token ids of one input; a text gets its begin and end marks."""
    if not isinstance(given, str):
        return fit_prompt(given, body, options, tokenized=True, reserve=0)
    check_text_length(given, body, options)
    marked = f"{BEGIN}{given}{END}" if body.get("add_special_tokens", True) else given
    return fit_prompt(encode(marked), body, options, tokenized=False, reserve=0)


@lru_cache(maxsize=1024)
def embed(ids: tuple[int, ...], dimensions: int) -> tuple[float, ...]:
    """A unit vector in float32: the sum of its tokens' directions, so that like texts lie close."""
    total = [
        math.fsum(values) for values in zip(*(_direction(token, dimensions) for token in ids), strict=True)
    ]
    norm = math.hypot(*total) or 1.0
    return tuple(array.array("f", [value / norm for value in total]))


@lru_cache(maxsize=4096)
def _direction(token: int, dimensions: int) -> tuple[float, ...]:
    random = Random(token)  # noqa: S311 - repeatable on purpose
    return tuple(random.gauss() for _ in range(dimensions))


def _encoded(vector: tuple[float, ...], body: Body) -> Any:
    if body["encoding_format"] == "float":
        return list(vector)
    return base64.b64encode(packed(vector, body)).decode()


def packed(vector: tuple[float, ...], body: Body) -> bytes:
    """A vector's bytes in the number format and byte order asked for."""
    order = ">" if body["endianness"] == "big" else "<"
    match body["embed_dtype"]:
        case "float32":
            return struct.pack(f"{order}{len(vector)}f", *vector)
        case "float16":
            return struct.pack(f"{order}{len(vector)}e", *vector)
        case "bfloat16":
            # The upper half of a float32, rounded to the nearest.
            whole = struct.unpack(f"<{len(vector)}I", struct.pack(f"<{len(vector)}f", *vector))
            return struct.pack(f"{order}{len(vector)}H", *((bits + 0x8000) >> 16 for bits in whole))
        case dtype:
            raise refuse(_NO_FLOAT8, dtype=dtype)


def _raw(
    vectors: list[tuple[float, ...]], prompted: int, request: RecordedRequest, body: Body, options: Options
) -> Routed:
    """The vectors as bare bytes; where each lies stands in a header, unless only the bytes are wanted."""
    pieces = [packed(vector, body) for vector in vectors]
    ends = list(itertools.accumulate(map(len, pieces)))
    metadata = {
        "id": f"embd-{intake.request_id(request, body)}",
        "created": int(time.time()),
        "model": options.models[0],
        "data": [
            {
                "index": index,
                "embed_dtype": body["embed_dtype"],
                "endianness": body["endianness"],
                "start": end - len(piece),
                "end": end,
                "shape": [options.dimensions],
            }
            for index, (piece, end) in enumerate(zip(pieces, ends, strict=True))
        ],
        "usage": {"prompt_tokens": prompted, "total_tokens": prompted},
    }
    described = ((b"metadata", json.dumps(metadata).encode()),) if body["encoding_format"] == "bytes" else ()
    headers = (*described, (b"content-type", b"application/octet-stream"))
    frames = [Frame(piece, duration(1, options) if not index else 0.0) for index, piece in enumerate(pieces)]
    return Stream(frames, headers, Work(len(vectors), prompted))


def pool(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /pooling: the same vectors, under other names."""
    body = intake.read(request, intake.POOLING, engine.options)
    check_model(body["model"], engine)
    if body["task"] not in (None, "embed"):
        task = body["task"]
        raise refuse(
            Refusal(f"Try switching the model's pooling_task via --pooler-config.task {task}.", "task")
        )
    inputs = read_inputs(body, engine.options)
    prompted = sum(map(len, inputs))
    content = {
        "id": f"pooling-{intake.request_id(request, body)}",
        "object": "list",
        "created": int(time.time()),
        "model": engine.options.models[0],
        "data": [
            {
                "index": index,
                "object": "pooling",
                "data": _encoded(embed(tuple(ids), engine.options.dimensions), body),
            }
            for index, ids in enumerate(inputs)
        ],
        "usage": usage(prompted, 0),
    }
    return json_response(content, delay=duration(1, engine.options), work=Work(len(inputs), prompted))
