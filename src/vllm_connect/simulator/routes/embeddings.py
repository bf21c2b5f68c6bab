"""POST /v1/embeddings."""

from typing import Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work
from vllm_connect.simulator.model.vectors import embed
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.refusals import NO_DIMENSIONS, Refusal, refuse
from vllm_connect.simulator.routes.pooled_input import check_model, read_inputs
from vllm_connect.simulator.routes.pooled_output import Pooled, encoded, is_raw, listed, raw

_OUT_OF_RANGE: Final = Refusal(
    "Model {model!r} only supports dimensions in range [1, {most}], got {dimensions}."
)
_OTHER_DIMENSIONS: Final = Refusal(
    "Model {model!r} only supports Matryoshka dimensions {lengths}, got {dimensions}."
)


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Embed one or several texts."""
    body = intake.read(request, intake.EMBEDDING, engine.options)
    options = engine.options
    check_model(body["model"], engine)
    inputs = read_inputs(body, options)
    check_dimensions(body["dimensions"], options)
    vectors = [embed(tuple(ids), options.dimensions, body["dimensions"]) for ids in inputs]
    pooled = Pooled(
        f"embd-{intake.request_id(request, body)}", body, Work(len(inputs), sum(map(len, inputs))), options
    )
    if is_raw(body):
        return raw(vectors, pooled)
    data = [
        {"index": index, "object": "embedding", "embedding": encoded(vector, body)}
        for index, vector in enumerate(vectors)
    ]
    return listed(data, pooled)


def check_dimensions(wanted: int | None, options: Options) -> None:
    """Refuse a length of embedding that the model was not trained for."""
    if wanted is None:
        return
    name, lengths = options.models[0], options.matryoshka_dimensions
    if not lengths:
        raise refuse(NO_DIMENSIONS, model=name, dimensions=wanted)
    if not 1 <= wanted <= options.dimensions:
        raise refuse(_OUT_OF_RANGE, model=name, most=options.dimensions, dimensions=wanted)
    if wanted not in lengths:
        raise refuse(_OTHER_DIMENSIONS, model=name, lengths=list(lengths), dimensions=wanted)
