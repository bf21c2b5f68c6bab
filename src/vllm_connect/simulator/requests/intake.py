"""From a request's bytes to its checked parameters."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from vllm_connect.simulator.exchange import RecordedRequest, json_response
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import fields, parameters, rules, shapes
from vllm_connect.simulator.requests.fields import Body, Field
from vllm_connect.simulator.requests.refusals import Refused, error_body
from vllm_connect.simulator.requests.rules import Rule
from vllm_connect.simulator.requests.shapes import Shape


class Contract(NamedTuple):
    """What a route takes: the name of its body in /openapi.json, its fields, the rules over all of them.

    A body that may come in several shapes lists them.
    """

    name: str
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    shapes: tuple[Shape, ...] = ()


CHAT = Contract("ChatCompletionRequest", parameters.CHAT, rules.CHAT)
COMPLETION = Contract("CompletionRequest", parameters.COMPLETION, rules.COMPLETION)
EMBEDDING = Contract("EmbeddingCompletionRequest", parameters.EMBEDDING, rules.POOLING, shapes.EMBEDDING)
POOLING = Contract("PoolingCompletionRequest", parameters.POOLING, rules.POOLING, shapes.POOLING)
SCORE = Contract("ScoreTextRequest", parameters.SCORE, rules.POOLING)
RERANK = Contract("RerankRequest", parameters.RERANK, rules.POOLING)
TOKENIZE = Contract("TokenizeCompletionRequest", parameters.TOKENIZE, rules.TOKENIZE)
DETOKENIZE = Contract("DetokenizeRequest", parameters.DETOKENIZE)

_UNSUPPORTED_MEDIA = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"


def read(request: RecordedRequest, contract: Contract, options: Options) -> Body:
    """The checked body of a request."""
    media = (request.header("content-type") or "").lower().partition(";")[0].strip()
    if media != "application/json":
        status = options.behaviour.wrong_media_status
        raise Refused(json_response(error_body(_UNSUPPORTED_MEDIA, "Bad Request", status), status=status))
    body = _with_tool_choice(_parsed(request.body))
    rules.check(body, contract.rules, options.version)
    if contract.shapes:
        return shapes.parse(body, contract.fields, contract.shapes)
    return _with_constraints(fields.parse(body, contract.fields), options)


def request_id(request: RecordedRequest, body: Mapping[str, Any]) -> str:
    """The id a reply is named by: the caller's header, else the body's, else a new one."""
    return request.header("x-request-id") or body.get("request_id") or uuid4().hex[:16]


def _parsed(data: bytes) -> Body:
    if not data:
        raise fields.refused([fields.missing("", None)])
    try:
        body = json.loads(data)
    except json.JSONDecodeError as broken:
        context = {"error": broken.msg}
        raise fields.refused(
            [fields.error("json_invalid", str(broken.pos), {}, "JSON decode error", **context)]
        ) from None
    except ValueError:
        detail = {"detail": "There was an error parsing the body"}
        raise Refused(json_response(detail, status=400)) from None
    if body is None:
        raise fields.refused([fields.missing("", None)])
    if not isinstance(body, dict):
        raise fields.refused([fields.error("model_attributes_type", "", body)])
    return body


def _with_constraints(body: Body, options: Options) -> Body:
    """Structured outputs as this release takes them: under their own name, or each kind as `guided_<kind>`."""
    names = options.behaviour.constraint_names
    own = body.get("structured_outputs") if "structured_outputs" in names else None
    guided = {name.removeprefix("guided_"): body[name] for name in names if body.get(name) is not None}
    guided.pop("structured_outputs", None)
    return {**body, "structured_outputs": own or guided or None} if "structured_outputs" in body else body


def _with_tool_choice(body: Body) -> Body:
    """Tools without a choice mean that the model chooses."""
    return {**body, "tool_choice": "auto"} if body.get("tools") and "tool_choice" not in body else body
