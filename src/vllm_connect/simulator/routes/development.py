"""Routes of development mode (VLLM_SERVER_DEV_MODE): sleep, pause, caches, weights, what the server is made of."""

import hashlib
import json
import platform
from collections.abc import Iterable
from typing import Any, Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, empty_response, json_response
from vllm_connect.simulator.requests import fields, intake, parameters
from vllm_connect.simulator.requests.fields import Body, Field
from vllm_connect.simulator.requests.refusals import Refusal, refuse

_NO_JSON: Final = Refusal("Invalid JSON format", kind="Bad Request")
_NO_OBJECT: Final = Refusal("Request body must be a JSON object", kind="Bad Request")
_BROKEN_JSON: Final = Refusal("JSON decode error: {why}", kind="Bad Request")
_NO_METHOD: Final = Refusal("Missing 'method' in request body", kind="Bad Request")
_NO_TRANSFER: Final = Refusal(
    "Call to collective_rpc method failed: Weight transfer not configured. Please set weight_transfer_config to"
    " enable weight transfer.",
    status=500,
    kind="InternalServerError",
)
_NOT_HELD: Final = Refusal(
    "Call to release_kv_cache_memory method failed: release_kv_cache_memory() requires a completed pause first",
    status=500,
    kind="InternalServerError",
)
_UNKNOWN_METHOD: Final = Refusal(
    "Call to collective_rpc method failed: Method '{name}' is not implemented.",
    status=500,
    kind="InternalServerError",
)


def sleep(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /sleep: hold all work until the server is woken up."""
    asked = intake.query(request, parameters.SLEEP)
    engine.sleep(asked["level"])
    if asked["mode"] == "abort":
        engine.abort()
    return json_response({"status": "sleeping", "level": asked["level"]})


def wake_up(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /wake_up: let held work go on."""
    tags = request.query.get("tags")
    return json_response({"status": "awake" if engine.wake_up(tags) else "sleeping", "tags": tags})


def is_sleeping(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /is_sleeping."""
    return json_response({"is_sleeping": engine.sleep_level is not None})


def release_kv_cache_memory(_: RecordedRequest, engine: Engine) -> Routed:
    """POST /release_kv_cache_memory, while all work is held."""
    if not engine.is_held:
        raise refuse(_NOT_HELD)
    return json_response({"status": "kv_cache_released"})


def pause(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /pause: hold all work, as for a change of weights."""
    asked = intake.query(request, parameters.PAUSE)
    engine.pause()
    if asked["mode"] == "abort":
        engine.abort()
    return json_response({"status": "paused"})


def resume(_: RecordedRequest, engine: Engine) -> Routed:
    """POST /resume: let held work go on."""
    engine.resume()
    return json_response({"status": "resumed"})


def is_paused(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /is_paused: sleeping counts as paused."""
    return json_response({"is_paused": engine.is_held})


def abort_requests(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /abort_requests: end these requests, or all that run."""
    named = _json_object(request, _NO_JSON).get("request_ids")
    if not named:
        running = engine.running
        engine.abort()
        return json_response({"status": "aborted", "aborted": running})
    if not isinstance(named, Iterable):
        error = f"Failed to abort requests: {type(named).__name__!r} object is not iterable"
        return json_response({"error": error}, status=500)
    ids = [str(one) for one in named]
    engine.abort(ids)
    return json_response({"status": "aborted", "aborted": len(ids)})


def reset_prefix_cache(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /reset_prefix_cache."""
    intake.query(request, parameters.RESET_PREFIX_CACHE)
    engine.prefixes.clear()
    return json_response({"success": True})


def reset_cache(_: RecordedRequest, __: Engine) -> Routed:
    """POST /reset_mm_cache and /reset_encoder_cache: nothing lies in these."""
    return empty_response()


def collective_rpc(request: RecordedRequest, _: Engine) -> Routed:
    """POST /collective_rpc: there are no workers that know a method."""
    method = _json_object(request, _BROKEN_JSON).get("method")
    if method is None:
        raise refuse(_NO_METHOD)
    raise refuse(_UNKNOWN_METHOD, name=method)


def server_info(request: RecordedRequest, engine: Engine) -> Routed:
    """GET /server_info: the settings in vLLM's terms, as far as a stand-in has them."""
    options = engine.options
    name = options.models[0]
    settings = {
        "model_config": {"model": name, "max_model_len": options.max_model_len, "served_model_name": name},
        "lora_config": {} if options.serves_adapters else None,
        "structured_outputs_config": {"reasoning_parser": options.reasoning_parser or ""},
        "instance_id": "",
    }
    text = (
        f"model={name!r}, tokenizer={name!r}, max_seq_len={options.max_model_len}, served_model_name={name}"
    )
    as_json = intake.query(request, parameters.SERVER_INFO)["config_format"] == "json"
    environment = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": options.allow_runtime_lora_updating,
        "VLLM_SERVER_DEV_MODE": options.dev_mode,
    }
    system = {"os": platform.platform(), "python_version": platform.python_version()}
    return json_response(
        {"vllm_config": settings if as_json else text, "vllm_env": environment, "system_env": system}
    )


def weight_info(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /weight_info."""
    return json_response({"weight_version": engine.weight_version})


def update_weight_version(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /update_weight_version: give the weights another name."""
    body = _embedded(request, parameters.WEIGHT_VERSION)
    engine.weight_version = body["new_version"]
    return json_response({"success": True, "new_version": engine.weight_version})


def check_weights(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /weight_checker: the one weight there is, which its version alone changes."""
    _embedded(request, parameters.WEIGHT_CHECK)
    digest = hashlib.sha256(engine.weight_version.encode()).hexdigest()
    return json_response({"checksums": {"dp0:pp0:pcp0:tp0:model.embed_tokens.weight": digest}})


def init_weight_transfer(request: RecordedRequest, _: Engine) -> Routed:
    """POST /init_weight_transfer_engine."""
    _embedded(request, parameters.WEIGHT_TRANSFER)
    raise refuse(_NO_TRANSFER)


def update_weights(request: RecordedRequest, _: Engine) -> Routed:
    """POST /update_weights."""
    _embedded(request, parameters.WEIGHT_UPDATE)
    raise refuse(_NO_TRANSFER)


def transfer_weights(_: RecordedRequest, __: Engine) -> Routed:
    """POST /start_weight_update and its kin: nothing has been set up that could bring weights."""
    raise refuse(_NO_TRANSFER)


def shutdown_weight_transfer(_: RecordedRequest, __: Engine) -> Routed:
    """POST /shutdown_weight_transfer_engine."""
    return json_response({"message": "Weight transfer shut down"})


def world_size(request: RecordedRequest, _: Engine) -> Routed:
    """GET /get_world_size: one worker."""
    intake.query(request, parameters.WORLD_SIZE)
    return json_response({"world_size": 1})


def _embedded(request: RecordedRequest, known: tuple[Field, ...]) -> Body:
    """The body of a route that takes its parameters one by one, of which a missing one is missing on its own."""
    body = _json_object(request, _BROKEN_JSON) if request.body else {}
    missing = [
        fields.missing(field.name, None) for field in known if field.required and field.name not in body
    ]
    if missing:
        raise fields.refused(missing)
    return fields.parse(body, known)


def _json_object(request: RecordedRequest, broken: Refusal) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError as why:
        raise refuse(broken, why=why) from None
    if not isinstance(body, dict):
        raise refuse(_NO_OBJECT)
    return body
