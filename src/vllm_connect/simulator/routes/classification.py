"""POST /classify."""

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work
from vllm_connect.simulator.model.vectors import classify
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.routes.pooled_input import check_model, read_inputs
from vllm_connect.simulator.routes.pooled_output import Pooled, listed


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Give each text its label."""
    body = intake.read(request, intake.CLASSIFICATION, engine.options)
    labels = engine.options.labels
    check_model(body["model"], engine)
    inputs = read_inputs(body, engine.options)
    activated = body["use_activation"] is not False
    data = []
    for index, ids in enumerate(inputs):
        probs = classify(tuple(ids), len(labels), activated=activated)
        label = labels[probs.index(max(probs))]
        data.append({"index": index, "label": label, "probs": probs, "num_classes": len(probs)})
    work = Work(len(inputs), sum(map(len, inputs)))
    name = f"classify-{intake.request_id(request, body)}"
    return listed(data, Pooled(name, body, work, engine.options))
