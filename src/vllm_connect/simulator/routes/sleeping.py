"""POST /sleep and /wake_up, GET /is_sleeping: there in development mode only."""

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, json_response


def sleep(request: RecordedRequest, engine: Engine) -> Routed:
    """Hold all work until the server is woken up."""
    level = int(request.query.get("level", ["1"])[0])
    engine.sleep(level)
    return json_response({"status": "sleeping", "level": level})


def wake_up(request: RecordedRequest, engine: Engine) -> Routed:
    """Let held work go on."""
    engine.wake_up()
    return json_response({"status": "awake", "tags": request.query.get("tags")})


def is_sleeping(_: RecordedRequest, engine: Engine) -> Routed:
    """Tell whether work is held."""
    return json_response({"is_sleeping": engine.sleep_level is not None})
