"""POST /invocations: SageMaker's one route for everything, which finds out itself what is meant."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, dump
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Invalid
from vllm_connect.simulator.requests.intake import Contract
from vllm_connect.simulator.requests.refusals import Refusal, refuse
from vllm_connect.simulator.routes import chat, classification, completions, embeddings, pooling, scoring

_BROKEN_JSON: Final = Refusal("JSON decode error: {why}", kind="Bad Request")
_NO_OBJECT: Final = Refusal("list indices must be integers or slices, not str")
_NO_HANDLER: Final = Refusal("Cannot find suitable handler for request. Expected one of: {names}")


class _Meaning(NamedTuple):
    """One thing that a body may mean, and what vLLM calls it."""

    handler: Callable[[RecordedRequest, Engine], Routed]
    name: str


def _union(contract: Contract, module: str) -> str:
    return " | ".join(f"vllm.entrypoints.pooling.{module}.protocol.{shape.name}" for shape in contract.shapes)


def _annotated(contract: Contract, module: str) -> str:
    checked = "BeforeValidator(func=<function reject_removed_pooling_parameters>, json_schema_input_type=PydanticUndefined)"
    return f"typing.Annotated[{_union(contract, module)}, {checked}]"


_CHAT = _Meaning(chat.answer, "ChatCompletionRequest")
_COMPLETION = _Meaning(completions.answer, "CompletionRequest")
_EMBEDDING = _Meaning(embeddings.answer, _annotated(intake.EMBEDDING, "embed"))
_CLASSIFICATION = _Meaning(classification.answer, _annotated(intake.CLASSIFICATION, "classify"))
_RERANK = _Meaning(scoring.rerank, "RerankRequest")
_SCORE = _Meaning(scoring.score, _union(intake.SCORE, "scoring"))
_POOLING = _Meaning(pooling.answer, _annotated(intake.POOLING, "pooling"))


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Take the body for each request of this server in turn; the first that it can be is answered."""
    intake.check_media(request, engine.options)
    try:
        body = json.loads(request.body)
    except ValueError as why:
        raise refuse(_BROKEN_JSON, why=why) from None
    if not isinstance(body, dict):
        raise refuse(_NO_OBJECT)
    # The adapter is named by a header here; a model in the body does not count.
    body["model"] = request.header("x-amzn-sagemaker-adapter-identifier") or ""
    meant = replace(request, body=dump(body))
    meanings = _meanings(engine.options)
    for meaning in meanings:
        try:
            return meaning.handler(meant, engine)
        except Invalid:
            continue
    raise refuse(_NO_HANDLER, names=[meaning.name for meaning in meanings])


def _meanings(options: Options) -> Sequence[_Meaning]:
    if options.kind == "generate":
        return _CHAT, _COMPLETION
    scored = (_RERANK, _SCORE) if options.scores else ()
    match options.pooling_task:
        case "embed":
            return _EMBEDDING, *scored, _POOLING
        case "classify":
            return _CLASSIFICATION, *scored, _POOLING
        case _:
            return *scored, _POOLING
