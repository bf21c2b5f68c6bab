"""POST /pooling: what the model makes of a text before any route gives it a meaning."""

from collections.abc import Callable, Mapping
from typing import Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work
from vllm_connect.simulator.model.vectors import classify, embed
from vllm_connect.simulator.options import Options, PoolingTask
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.routes.pooled_input import check_model, read_inputs
from vllm_connect.simulator.routes.pooled_output import Output, Pooled, encoded, is_raw, listed, raw

_NO_DIMENSIONS: Final = Refusal("dimensions is currently not supported", "dimensions")
_NO_PLUGIN: Final = Refusal(
    "No IOProcessor plugin installed. Please refer to the documentation and to the"
    " 'prithvi_geospatial_mae_io_processor' offline inference example for more details.",
    "task",
)
_OTHER_TASK: Final = Refusal(
    "Try switching the model's pooling_task via --pooler-config.task {task}.", "task"
)
_NO_TASK: Final = Refusal("Unsupported task: {task!r} Supported tasks: {supported}", "task")

# A model that does the one may be told to do the other.
_SUPPORTED: Final[Mapping[PoolingTask, tuple[PoolingTask, ...]]] = {
    "embed": ("embed", "token_embed"),
    "token_embed": ("embed", "token_embed"),
    "classify": ("token_classify", "classify"),
    "token_classify": ("token_classify", "classify"),
}


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Pool one or several texts as the model's task says."""
    body = intake.read(request, intake.POOLING, engine.options)
    options = engine.options
    check_model(body["model"], engine)
    _check_task(body, options)
    inputs = read_inputs(body, options)
    pool = _POOLERS[options.pooling_task]
    outputs = [pool(tuple(ids), body, options) for ids in inputs]
    pooled = Pooled(
        f"pooling-{intake.request_id(request, body)}", body, Work(len(inputs), sum(map(len, inputs))), options
    )
    if is_raw(body):
        return raw(outputs, pooled)
    data = [
        {"index": index, "object": "pooling", "data": encoded(output, body)}
        for index, output in enumerate(outputs)
    ]
    return listed(data, pooled)


def _check_task(body: Body, options: Options) -> None:
    if body["dimensions"] is not None:
        raise refuse(_NO_DIMENSIONS)
    task = "plugin" if body["shape"] == "IOProcessorRequest" else body["task"] or options.pooling_task
    if task == "plugin":
        raise refuse(_NO_PLUGIN)
    if task == options.pooling_task:
        return
    supported = list(_SUPPORTED[options.pooling_task])
    raise refuse(_OTHER_TASK if task in supported else _NO_TASK, task=task, supported=supported)


def _embedded(ids: tuple[int, ...], _: Body, options: Options) -> Output:
    return embed(ids, options.dimensions)


def _embedded_tokens(ids: tuple[int, ...], _: Body, options: Options) -> Output:
    return tuple(embed((token,), options.dimensions) for token in ids)


def _classified(ids: tuple[int, ...], body: Body, options: Options) -> Output:
    return classify(ids, len(options.labels), activated=body["use_activation"] is not False)


def _classified_tokens(ids: tuple[int, ...], body: Body, options: Options) -> Output:
    return tuple(
        classify((token,), len(options.labels), activated=body["use_activation"] is not False)
        for token in ids
    )


_POOLERS: Final[Mapping[PoolingTask, Callable[[tuple[int, ...], Body, Options], Output]]] = {
    "embed": _embedded,
    "token_embed": _embedded_tokens,
    "classify": _classified,
    "token_classify": _classified_tokens,
}
