"""From a request's bytes to its checked parameters."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from vllm_connect.simulator.exchange import RecordedRequest, json_response
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import fields, parameters, rules
from vllm_connect.simulator.requests.fields import Body, Field, Shape
from vllm_connect.simulator.requests.refusals import Refused, error_body
from vllm_connect.simulator.requests.rules import Rule


class Contract(NamedTuple):
    """What a route takes: the shapes a body may have, and the rules over all of its parameters."""

    shapes: tuple[Shape, ...]
    rules: tuple[Rule, ...] = ()
    completed: Callable[[Body], Body] = lambda body: body
    """What is filled in before anything is looked at."""


def _one(
    name: str,
    fields: tuple[Field, ...],
    rules: tuple[Rule, ...] = (),
    completed: Callable[[Body], Body] = lambda body: body,
) -> Contract:
    return Contract((Shape(name, fields),), rules, completed)


def _with_tool_choice(body: Body) -> Body:
    """Tools without a choice mean that the model chooses."""
    return {**body, "tool_choice": "auto"} if body.get("tools") and "tool_choice" not in body else body


def _without_tool_choice(body: Body) -> Body:
    """No tools mean that there is no choice."""
    chosen = body.get("tool_choice", "auto")
    return {**body, "tool_choice": "none"} if not body.get("tools") and chosen in ("auto", "none") else body


CHAT = _one("ChatCompletionRequest", parameters.CHAT, rules.CHAT, _with_tool_choice)
RESPONSE = _one("ResponsesRequest", parameters.RESPONSE, rules.RESPONSE, _without_tool_choice)
MESSAGE = _one("AnthropicMessagesRequest", parameters.MESSAGE, rules.CACHE_SALT)
MESSAGE_COUNT = _one("AnthropicCountTokensRequest", parameters.MESSAGE_COUNT)
BATCH = _one("BatchChatCompletionRequest", parameters.BATCH, rules.BATCH)
GENERATIVE_SCORING = _one("GenerativeScoringRequest", parameters.GENERATIVE_SCORING, rules.CACHE_SALT)
COHERE_EMBEDDING = _one("CohereEmbedRequest", parameters.COHERE_EMBEDDING)
COMPLETION = _one("CompletionRequest", parameters.COMPLETION, rules.COMPLETION)
EMBEDDING = Contract(parameters.EMBEDDING, rules.POOLING)
POOLING = Contract(parameters.POOLING, rules.POOLING_TASK)
CLASSIFICATION = Contract(parameters.CLASSIFICATION, rules.POOLING)
SCORE = Contract(parameters.SCORE, rules.POOLING)
RERANK = _one("RerankRequest", parameters.RERANK, rules.POOLING)
TOKENIZE = Contract(parameters.TOKENIZE, rules.TOKENIZE)
DETOKENIZE = _one("DetokenizeRequest", parameters.DETOKENIZE)
LOAD_ADAPTER = _one("LoadLoRAAdapterRequest", parameters.LOAD_ADAPTER)
UNLOAD_ADAPTER = _one("UnloadLoRAAdapterRequest", parameters.UNLOAD_ADAPTER)
DECISION = _one("StructuredDecisionRequest", parameters.DECISION, rules.CACHE_SALT)

# Bodies without a name of their own are named by their routes.
WEIGHT_TRANSFER = _one(
    "Body_init_weight_transfer_engine_init_weight_transfer_engine_post", parameters.WEIGHT_TRANSFER
)
WEIGHT_UPDATE = _one("Body_update_weights_update_weights_post", parameters.WEIGHT_UPDATE)
WEIGHT_FINISH = _one("Body_finish_weight_update_finish_weight_update_post", parameters.WEIGHT_FINISH)
WEIGHT_VERSION = _one("Body_update_weight_version_update_weight_version_post", parameters.WEIGHT_VERSION)
WEIGHT_CHECK = _one("Body_weight_checker_weight_checker_post", parameters.WEIGHT_CHECK)

_UNSUPPORTED_MEDIA = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"


def read(request: RecordedRequest, contract: Contract, options: Options) -> Body:
    """The checked body of a request."""
    check_media(request, options)
    body = contract.completed(_parsed(request.body))
    rules.check(body, contract.rules, options.version)
    if len(contract.shapes) > 1:
        return fields.parse_any(body, contract.shapes)
    return _with_constraints(fields.parse(body, contract.shapes[0].fields), options)


def query(request: RecordedRequest, known: tuple[Field, ...]) -> Body:
    """The checked parameters behind a path; of one given twice the last counts."""
    given = {name: values[-1] for name, values in request.query.items()}
    return fields.parse(given, known, "query")


def check_media(request: RecordedRequest, options: Options) -> None:
    """Refuse a body that does not call itself JSON."""
    media = (request.header("content-type") or "").lower().partition(";")[0].strip()
    if media != "application/json":
        status = options.behaviour.wrong_media_status
        raise Refused(json_response(error_body(_UNSUPPORTED_MEDIA, "Bad Request", status), status=status))


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
