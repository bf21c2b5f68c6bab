"""Which path is answered by what: the table of routes, and how a request finds its row."""

import re
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final, NamedTuple
from uuid import uuid4

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, empty_response, json_response
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.intake import Contract
from vllm_connect.simulator.requests.refusals import UNAUTHORIZED, Refusal, Refused, detail, flat, refuse
from vllm_connect.simulator.routes import (
    adapters,
    batch,
    chat,
    classification,
    cohere,
    completions,
    cors,
    development,
    embeddings,
    generative_scoring,
    instruments,
    invocations,
    messages,
    metrics,
    openapi,
    pooling,
    responses,
    scale_out,
    scoring,
    tokenization,
)
from vllm_connect.simulator.versions import ROUTES_SINCE, is_since

Handler = Callable[[RecordedRequest, Engine], Routed]
Condition = Callable[[Options], bool]


class Route(NamedTuple):
    """One method of one path, and on which servers it is there."""

    method: str
    path: str
    handler: Handler
    served: Condition = lambda _: True
    contract: Contract | None = None
    listed: bool = True
    """Whether /openapi.json tells of it."""


def _generates(options: Options) -> bool:
    return options.kind == "generate"


def _pools(options: Options) -> bool:
    return options.kind == "pooling"


def _embeds(options: Options) -> bool:
    return _pools(options) and options.pooling_task in ("embed", "token_embed")


def _classifies(options: Options) -> bool:
    return _pools(options) and options.pooling_task in ("classify", "token_classify")


def _scores(options: Options) -> bool:
    return _pools(options) and options.scores


def _in_development(options: Options) -> bool:
    return options.dev_mode


def _updates_adapters(options: Options) -> bool:
    return options.allow_runtime_lora_updating


def _tells_tokenizer(options: Options) -> bool:
    return options.enable_tokenizer_info_endpoint


def _only_for(task: str, handler: Handler, what: str) -> Handler:
    """A route that is there for every model that could do the task, but answers only where it is the model's task."""

    def answer(request: RecordedRequest, engine: Engine) -> Routed:
        if engine.options.pooling_task != task:
            raise refuse(
                Refusal(f"The model does not support {what} API", status=501, kind="NotImplementedError")
            )
        return handler(request, engine)

    return answer


def _openapi(_: RecordedRequest, engine: Engine) -> Routed:
    listed = [route for route in TABLE if route.listed and _is_served(route, engine.options)]
    described = ((route.method, route.path, route.contract) for route in listed)
    return json_response(openapi.document(described, engine.options.behaviour.constraint_names))


TABLE: Final = (
    Route("GET", "/load", instruments.load),
    Route("GET", "/version", instruments.version),
    Route("GET", "/kv_event_sources", instruments.kv_event_sources),
    Route("GET", "/health", instruments.health),
    Route("GET", "/metrics", metrics.answer),
    Route("POST", "/v1/load_lora_adapter", adapters.load, _updates_adapters, intake.LOAD_ADAPTER),
    Route("POST", "/v1/unload_lora_adapter", adapters.unload, _updates_adapters, intake.UNLOAD_ADAPTER),
    Route("POST", "/tokenize", tokenization.tokenize, contract=intake.TOKENIZE),
    Route("POST", "/detokenize", tokenization.detokenize, contract=intake.DETOKENIZE),
    Route("GET", "/tokenizer_info", tokenization.tokenizer_info, _tells_tokenizer),
    Route("GET", "/v1/models", instruments.models),
    Route("POST", "/v1/systemone", instruments.decide, contract=intake.DECISION),
    Route("GET", "/ping", instruments.health),
    Route("POST", "/ping", instruments.health),
    Route("POST", "/invocations", invocations.answer),
    Route("POST", "/reset_prefix_cache", development.reset_prefix_cache, _in_development),
    Route("POST", "/reset_mm_cache", development.reset_cache, _in_development),
    Route("POST", "/reset_encoder_cache", development.reset_cache, _in_development),
    Route("POST", "/collective_rpc", development.collective_rpc, _in_development),
    Route("GET", "/server_info", development.server_info, _in_development),
    Route("POST", "/sleep", development.sleep, _in_development),
    Route("POST", "/release_kv_cache_memory", development.release_kv_cache_memory, _in_development),
    Route("POST", "/wake_up", development.wake_up, _in_development),
    Route("GET", "/is_sleeping", development.is_sleeping, _in_development),
    Route("POST", "/pause", development.pause, _in_development),
    Route("POST", "/resume", development.resume, _in_development),
    Route("POST", "/abort_requests", development.abort_requests, _in_development),
    Route("GET", "/is_paused", development.is_paused, _in_development),
    Route(
        "POST",
        "/init_weight_transfer_engine",
        development.init_weight_transfer,
        _in_development,
        intake.WEIGHT_TRANSFER,
    ),
    Route("POST", "/shutdown_weight_transfer_engine", development.shutdown_weight_transfer, _in_development),
    Route("POST", "/start_weight_update", development.transfer_weights, _in_development),
    Route("POST", "/start_draft_weight_update", development.transfer_weights, _in_development),
    Route("POST", "/update_weights", development.update_weights, _in_development, intake.WEIGHT_UPDATE),
    Route(
        "POST", "/finish_weight_update", development.transfer_weights, _in_development, intake.WEIGHT_FINISH
    ),
    Route(
        "POST",
        "/update_weight_version",
        development.update_weight_version,
        _in_development,
        intake.WEIGHT_VERSION,
    ),
    Route("GET", "/weight_info", development.weight_info, _in_development),
    Route("POST", "/weight_checker", development.check_weights, _in_development, intake.WEIGHT_CHECK),
    Route("GET", "/get_world_size", development.world_size, _in_development),
    Route("POST", "/v1/chat/completions", chat.answer, _generates, intake.CHAT),
    Route("POST", "/v1/chat/completions/batch", batch.answer, _generates, intake.BATCH),
    Route("POST", "/v1/responses", responses.create, _generates, intake.RESPONSE),
    Route("GET", "/v1/responses/{response_id}", responses.retrieve, _generates),
    Route("POST", "/v1/responses/{response_id}/cancel", responses.cancel, _generates),
    Route("POST", "/v1/completions", completions.answer, _generates, intake.COMPLETION),
    Route("POST", "/v1/messages", messages.answer, _generates, intake.MESSAGE),
    Route("POST", "/v1/messages/count_tokens", messages.count_tokens, _generates, intake.MESSAGE_COUNT),
    Route("POST", "/generative_scoring", generative_scoring.answer, _generates, intake.GENERATIVE_SCORING),
    Route("POST", "/scale_elastic_ep", scale_out.scale, _generates),
    Route("POST", "/is_scaling_elastic_ep", scale_out.is_scaling, _generates),
    Route("POST", "/pooling", pooling.answer, _pools, intake.POOLING),
    Route(
        "POST",
        "/classify",
        _only_for("classify", classification.answer, "Classification"),
        _classifies,
        intake.CLASSIFICATION,
    ),
    Route(
        "POST",
        "/v1/embeddings",
        _only_for("embed", embeddings.answer, "Embeddings"),
        _embeds,
        intake.EMBEDDING,
    ),
    Route(
        "POST", "/v2/embed", _only_for("embed", cohere.answer, "Embeddings"), _embeds, intake.COHERE_EMBEDDING
    ),
    *(Route("POST", path, scoring.score, _scores, intake.SCORE) for path in ("/score", "/v1/score")),
    *(
        Route("POST", path, scoring.rerank, _scores, intake.RERANK)
        for path in ("/rerank", "/v1/rerank", "/v2/rerank")
    ),
    Route("POST", "/adapters", adapters.register, _updates_adapters),
    Route("DELETE", "/adapters/{adapter_name}", adapters.unregister, _updates_adapters),
    *(Route("POST", path, scale_out.closed, _generates, listed=False) for path in scale_out.PATHS),
    Route("GET", "/openapi.json", _openapi, listed=False),
    Route("HEAD", "/openapi.json", _openapi, listed=False),
)
_EXACT: Final = {
    path: tuple(route for route in TABLE if route.path == path) for path in {route.path for route in TABLE}
}
_PATTERNS: Final = tuple(
    (re.compile(re.sub(r"{\w+}", "[^/]+", path)), routes) for path, routes in _EXACT.items() if "{" in path
)
# Whatever begins so is the exporter's, with any method.
_METRICS: Final = "/metrics"
_UNCOUNTED: Final = ("/health", "/load", "/ping", "/version", "/server_info")
_METRICS_ROUTE: Final = Route("GET", _METRICS, metrics.exported, listed=False)


def dispatch(request: RecordedRequest, engine: Engine) -> Routed:
    """Answer a request: the key first, then other origins, then the route, then what the route says."""
    options = engine.options
    path = request.path.removeprefix(options.root_path) or "/"
    if (
        path.startswith(options.behaviour.guarded)
        and request.method != "OPTIONS"
        and not _has_key(request, options)
    ):
        answer: Routed = json_response(UNAUTHORIZED, status=HTTPStatus.UNAUTHORIZED)
    else:
        asked = cors.preflight(request, options)
        answer = asked or cors.marked(_routed(request, path, engine), request, options)
    if options.enable_request_id_headers:
        named = request.header("x-request-id") or uuid4().hex
        answer = replace(answer, headers=(*answer.headers, (b"x-request-id", named.encode("latin-1"))))
    return answer


def _routed(request: RecordedRequest, path: str, engine: Engine) -> Routed:
    routes = _at(path, engine.options)
    answer = _from_route(request, path, routes, engine)
    if path not in _UNCOUNTED and not path.startswith(_METRICS):
        handler = routes[0].path if routes else "none"
        engine.statistics.requests[handler, request.method, answer.status // 100] += 1
    return answer


def _from_route(request: RecordedRequest, path: str, routes: list[Route], engine: Engine) -> Routed:
    options = engine.options
    route = next((route for route in routes if route.method == request.method), None)
    if route is None and path.startswith(_METRICS):
        route = _METRICS_ROUTE
    if route is not None:
        try:
            return route.handler(request, engine)
        except Refused as refused:
            return refused.answer if options.behaviour.nests_errors else flat(refused.answer)
    if routes:
        return detail(HTTPStatus.METHOD_NOT_ALLOWED, ((b"allow", _allowed(routes).encode()),))
    return _redirected(request, path, options) or detail(HTTPStatus.NOT_FOUND)


def _at(path: str, options: Options) -> list[Route]:
    routes = _EXACT.get(path) or next(
        (routes for pattern, routes in _PATTERNS if pattern.fullmatch(path)), ()
    )
    return [route for route in routes if _is_served(route, options)]


def _is_served(route: Route, options: Options) -> bool:
    return is_since(options.version, ROUTES_SINCE.get(route.path, "")) and route.served(options)


def _allowed(routes: list[Route]) -> str:
    """The methods of the first route at a path; only the framework's own document has a HEAD beside its GET."""
    return "GET, HEAD" if any(route.method == "HEAD" for route in routes) else routes[0].method


def _has_key(request: RecordedRequest, options: Options) -> bool:
    if not options.api_keys:
        return True
    scheme, _, key = (request.header("authorization") or "").partition(" ")
    return scheme.lower() == "bearer" and key in options.api_keys


def _redirected(request: RecordedRequest, path: str, options: Options) -> Routed | None:
    """A path that is known but for its last slash, as the framework treats it."""
    other = path.rstrip("/") if path.endswith("/") else path + "/"
    if path == "/" or not _at(other, options):
        return None
    query = request.target.partition("?")[2]
    target = options.root_path + other + (f"?{query}" if query else "")
    location = f"{options.scheme}://{request.header('host') or ''}{target}"
    return empty_response(HTTPStatus.TEMPORARY_REDIRECT, headers=((b"location", location.encode()),))
