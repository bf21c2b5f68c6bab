"""POST /v2/embed: embeddings in the terms of Cohere's API."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work, json_response
from vllm_connect.simulator.model.vectors import Vector, embed, packed
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import fields, intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.routes.accounting import duration
from vllm_connect.simulator.routes.embeddings import check_dimensions
from vllm_connect.simulator.routes.pooled_input import check_model, pooled_prompt

_ONE_OF: Final = "Exactly one of texts, images, or inputs must be provided, and it must be non-empty"
_NO_IMAGES: Final = Refusal("{model} is not a multimodal model")
_NO_INPUT_TYPES: Final = Refusal(
    "Unsupported input_type {kind!r}. This model does not define any input_type task instructions."
)
_UNEVEN: Final = Refusal(
    "Embedding dimension must be a multiple of 8 for binary embedding types, but got {size}."
)
_SIDES: Final = {"START": "left", "END": "right"}


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Embed several texts, in several forms at once."""
    body = intake.read(request, intake.COHERE_EMBEDDING, engine.options)
    options = engine.options
    if sum(bool(body[name]) for name in ("texts", "images", "inputs")) != 1:
        raise fields.refused([fields.rejected("", request.json(), _ONE_OF)])
    check_model(body["model"], engine)
    texts = body["texts"] or [_text(given, options) for given in body["images"] or body["inputs"]]
    if body["input_type"] is not None:
        raise refuse(_NO_INPUT_TYPES, kind=body["input_type"])
    check_dimensions(body["output_dimension"], options)
    inputs = [pooled_prompt(text, _truncation(body, options), options) for text in texts]
    vectors = [embed(tuple(ids), options.dimensions, body["output_dimension"]) for ids in inputs]
    read = sum(map(len, inputs))
    kinds = body["embedding_types"] or ("float",)
    size = len(vectors[0])
    if size % 8 and not {"binary", "ubinary"}.isdisjoint(kinds):
        raise refuse(_UNEVEN, size=size)
    content = {
        "id": f"embd-{intake.request_id(request, {})}",
        "embeddings": {
            kind: [form(vector) for vector in vectors] for kind, form in _FORMS.items() if kind in kinds
        },
        "texts": body["texts"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": read, "image_tokens": 0}},
        "response_type": "embeddings_by_type",
    }
    return json_response(content, delay=duration(1, options), work=Work(len(inputs), read))


def _text(given: Any, options: Options) -> str:
    """The text of an input of several parts."""
    parts = given["content"] if isinstance(given, dict) else [{"type": "image_url"}]
    if any(part.get("type") != "text" for part in parts):
        raise refuse(_NO_IMAGES, model=options.models[0])
    return "\n".join(part["text"] for part in parts)


def _truncation(body: Body, options: Options) -> Body:
    if body["truncate"] == "NONE":
        return {"truncate_prompt_tokens": body["max_tokens"]}
    kept = options.max_model_len if body["max_tokens"] is None else body["max_tokens"]
    return {"truncate_prompt_tokens": kept, "truncation_side": _SIDES[body["truncate"]]}


def _bits(vector: Vector) -> list[int]:
    """One byte for each eight numbers: whether each is no less than zero."""
    return [
        sum((number >= 0) << (7 - place) for place, number in enumerate(vector[start : start + 8]))
        for start in range(0, len(vector), 8)
    ]


def _signed_bits(vector: Vector) -> list[int]:
    return [byte - 128 for byte in _bits(vector)]


def _base64(vector: Vector) -> str:
    return base64.b64encode(packed(vector, "float32", "little")).decode()


_FORMS: Final[Mapping[str, Callable[[Vector], Any]]] = {
    "float": list,
    "binary": _signed_bits,
    "ubinary": _bits,
    "base64": _base64,
}
