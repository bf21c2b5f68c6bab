"""Which path is answered by what: the table of routes, and how a request finds its row."""

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
from vllm_connect.simulator.requests.refusals import UNAUTHORIZED, Refused, detail, flat
from vllm_connect.simulator.routes import (
    chat,
    completions,
    embeddings,
    instruments,
    scoring,
    sleeping,
    tokenization,
)

Handler = Callable[[RecordedRequest, Engine], Routed]


class Route(NamedTuple):
    """One method of one path, and on which kind of server it is there."""

    method: str
    path: str
    handler: Handler
    kind: str = "any"
    contract: Contract | None = None
    dev: bool = False


def _openapi(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /openapi.json: the routes of this very server, which tell its kind."""
    served = [route for route in TABLE if _is_served(route, engine.options)]
    paths: dict[str, dict[str, object]] = {}
    schemas: dict[str, object] = {}
    for route in served:
        operation: dict[str, object] = {"responses": {"200": {"description": "Successful Response"}}}
        if route.contract:
            reference = {"$ref": f"#/components/schemas/{route.contract.name}"}
            operation["requestBody"] = {
                "content": {"application/json": {"schema": reference}},
                "required": True,
            }
            properties: dict[str, object] = {field.name: {} for field in route.contract.fields}
            schemas[route.contract.name] = {"type": "object", "properties": properties}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    info = {"title": "FastAPI", "version": "0.1.0"}
    document = {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
    return json_response(document)


TABLE: Final = (
    Route("GET", "/v1/models", instruments.models),
    Route("GET", "/health", instruments.health),
    Route("GET", "/ping", instruments.health),
    Route("POST", "/ping", instruments.health),
    Route("GET", "/version", instruments.version),
    Route("GET", "/load", instruments.load),
    Route("POST", "/tokenize", tokenization.tokenize, contract=intake.TOKENIZE),
    Route("POST", "/detokenize", tokenization.detokenize, contract=intake.DETOKENIZE),
    Route("POST", "/v1/chat/completions", chat.answer, "generate", intake.CHAT),
    Route("POST", "/v1/completions", completions.answer, "generate", intake.COMPLETION),
    Route("POST", "/pooling", embeddings.pool, "pooling", intake.POOLING),
    *(Route("POST", path, scoring.score, "pooling", intake.SCORE) for path in ("/score", "/v1/score")),
    *(
        Route("POST", path, scoring.rerank, "pooling", intake.RERANK)
        for path in ("/rerank", "/v1/rerank", "/v2/rerank")
    ),
    Route("POST", "/sleep", sleeping.sleep, dev=True),
    Route("POST", "/wake_up", sleeping.wake_up, dev=True),
    Route("GET", "/is_sleeping", sleeping.is_sleeping, dev=True),
    Route("POST", "/v1/embeddings", embeddings.answer, "pooling", intake.EMBEDDING),
)
# Served, but not listed in /openapi.json.
UNLISTED: Final = (
    Route("GET", "/openapi.json", _openapi),
    Route("GET", "/metrics", instruments.metrics),
    Route("GET", "/metrics/", instruments.metrics),
)
VARY: Final = (b"vary", b"Origin")


def dispatch(request: RecordedRequest, engine: Engine) -> Routed:
    """Answer a request: the key first, then the route, then what the route says."""
    options = engine.options
    path = request.path.removeprefix(options.root_path) or "/"
    if (
        path.startswith(options.behaviour.guarded)
        and request.method != "OPTIONS"
        and not _has_key(request, options)
    ):
        answer: Routed = json_response(UNAUTHORIZED, status=HTTPStatus.UNAUTHORIZED)
    else:
        answer = _routed(request, path, engine)
        # vLLM's CORS layer marks all that passes the key check.
        answer = replace(answer, headers=(*answer.headers, VARY))
    if options.enable_request_id_headers:
        named = request.header("x-request-id") or uuid4().hex
        answer = replace(answer, headers=(*answer.headers, (b"x-request-id", named.encode("latin-1"))))
    return answer


def _routed(request: RecordedRequest, path: str, engine: Engine) -> Routed:
    options = engine.options
    routes = _at(path, options)
    handler = next((route.handler for route in routes if route.method == request.method), None)
    if handler is not None:
        try:
            return handler(request, engine)
        except Refused as refused:
            return refused.answer if options.behaviour.nests_errors else flat(refused.answer)
    if routes:
        allowed = ", ".join(route.method for route in routes[:1])
        return detail(HTTPStatus.METHOD_NOT_ALLOWED, ((b"allow", allowed.encode()),))
    return _redirected(request, path, options) or detail(HTTPStatus.NOT_FOUND)


def _is_served(route: Route, options: Options) -> bool:
    return route.kind in ("any", options.kind) and (options.dev_mode or not route.dev)


def _at(path: str, options: Options) -> list[Route]:
    return [route for route in TABLE + UNLISTED if route.path == path and _is_served(route, options)]


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
