"""Routes of a server that is spread over machines: closed, as without --enable-scale-out; one engine, not scaling."""

import json
from typing import Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, json_response
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.refusals import Refusal, refuse

PATHS: Final = (
    "/v1/chat/completions/render",
    "/v1/messages/render",
    "/v1/completions/render",
    "/v1/responses/render",
    "/v1/chat/completions/derender",
    "/v1/completions/derender",
    "/inference/v1/generate",
    "/inference/v1/abort_requests",
)

_CLOSED: Final = Refusal(
    "Scale-out endpoints are disabled. Restart vllm serve with --enable-scale-out to enable them.",
    status=403,
    kind="PermissionDeniedError",
)
_NO_JSON: Final = Refusal("Invalid JSON format", kind="Bad Request")
_NO_SIZE: Final = Refusal("new_data_parallel_size is required", kind="Bad Request")
_BAD_NUMBER: Final = Refusal("{name} must be a positive integer", kind="Bad Request")
_FAILED: Final = Refusal("Scale failed", status=500, kind="Internal Server Error")


def closed(_: RecordedRequest, __: Engine) -> Routed:
    """Any of the scale-out routes."""
    raise refuse(_CLOSED)


def is_scaling(_: RecordedRequest, __: Engine) -> Routed:
    """POST /is_scaling_elastic_ep."""
    return json_response({"is_scaling_elastic_ep": False})


def scale(request: RecordedRequest, engine: Engine) -> Routed:
    """POST /scale_elastic_ep: refused, or it fails, as there is one engine."""
    intake.check_media(request, engine.options)
    try:
        body = json.loads(request.body)
    except ValueError:
        raise refuse(_NO_JSON) from None
    numbers = {"drain_timeout": 120, **body}
    if numbers.get("new_data_parallel_size") is None:
        raise refuse(_NO_SIZE)
    for name in ("new_data_parallel_size", "drain_timeout"):
        if not isinstance(numbers[name], int) or numbers[name] <= 0:
            raise refuse(_BAD_NUMBER, name=name)
    raise refuse(_FAILED)
