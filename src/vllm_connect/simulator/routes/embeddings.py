"""POST /v1/embeddings."""

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work
from vllm_connect.simulator.model.vectors import embed
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.refusals import NO_DIMENSIONS, refuse
from vllm_connect.simulator.routes.pooled_input import check_model, read_inputs
from vllm_connect.simulator.routes.pooled_output import Pooled, encoded, is_raw, listed, raw


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Embed one or several texts."""
    body = intake.read(request, intake.EMBEDDING, engine.options)
    options = engine.options
    check_model(body["model"], engine)
    inputs = read_inputs(body, options)
    if body["dimensions"] is not None:
        raise refuse(NO_DIMENSIONS, model=options.models[0], dimensions=body["dimensions"])
    vectors = [embed(tuple(ids), options.dimensions) for ids in inputs]
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
