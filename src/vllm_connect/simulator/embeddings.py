"""POST /v1/embeddings."""

import array
import base64
import math
import time
from functools import lru_cache
from random import Random
from typing import Any

from vllm_connect.simulator import intake
from vllm_connect.simulator.accounting import duration, usage
from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import Answer, RecordedRequest, Work, json_response
from vllm_connect.simulator.fields import Body
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.prompts import chat_text, check_messages, check_prompts, prompts
from vllm_connect.simulator.refusals import NO_DIMENSIONS, NO_POOLING_MODEL, refuse
from vllm_connect.simulator.sampling import check_text_length, fit_prompt
from vllm_connect.simulator.tokens import BEGIN, END, encode


def answer(request: RecordedRequest, engine: Engine) -> Answer:
    """Embed one or several texts."""
    body = intake.read(request, intake.EMBEDDING)
    options = engine.options
    inputs = read_inputs(body, options)
    check_model(body["model"], engine)
    if body["dimensions"] is not None:
        raise refuse(NO_DIMENSIONS, model=options.models[0], dimensions=body["dimensions"])
    vectors = [embed(tuple(ids), options.dimensions) for ids in inputs]
    prompted = sum(map(len, inputs))
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
    if body.get("messages") is not None:
        check_messages(body["messages"])
        rendered = {"add_generation_prompt": False, **body}
        return [pooled_prompt(chat_text(rendered, options), body, options)]
    check_prompts("input", body.get("input"))
    return [pooled_prompt(given, body, options) for given in prompts(body["input"])]


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
    numbers = array.array("f", vector)
    if body["endianness"] == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
