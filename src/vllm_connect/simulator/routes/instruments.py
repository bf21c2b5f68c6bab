"""What a server says about itself: models, version, health, load, metrics, its routes."""

import time
from typing import Final
from uuid import uuid4

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import (
    RecordedRequest,
    Routed,
    empty_response,
    json_response,
)
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.refusals import Refusal, refuse

_NO_DECISIONS: Final = Refusal(
    "The model does not support the structured decision API", status=501, kind="NotImplementedError"
)


def models(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /v1/models: every alias, then every adapter."""
    options = engine.options
    base = [_card(name, options.models[0], None, options.max_model_len) for name in options.models]
    adapters = [_card(name, path, options.models[0], None) for name, path in engine.adapters.items()]
    return json_response({"object": "list", "data": base + adapters})


def version(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /version."""
    return json_response({"version": engine.options.version})


def health(_: RecordedRequest, __: Engine) -> Routed:
    """GET /health and /ping: healthy as long as it answers, asleep or not."""
    return empty_response()


def load(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /load: what is under way, if the server was told to track it."""
    tracked = engine.running if engine.options.enable_server_load_tracking else 0
    return json_response({"server_load": tracked})


def kv_event_sources(_: RecordedRequest, __: Engine) -> Routed:
    """GET /kv_event_sources: no cache tells of its blocks."""
    return json_response({})


def decide(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /v1/systemone: there is no model that it can ask."""
    intake.read(request, intake.DECISION, engine.options)
    raise refuse(_NO_DECISIONS)


def _card(name: str, root: str, parent: str | None, max_model_len: int | None) -> dict[str, object]:
    now = int(time.time())
    permission = {
        "id": f"modelperm-{uuid4().hex[:16]}",
        "object": "model_permission",
        "created": now,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": name,
        "object": "model",
        "created": now,
        "owned_by": "vllm",
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
        "permission": [permission],
    }
