"""Headers about the engines behind a server: which is to do the work, and how much they have to do."""

import json
from dataclasses import replace
from typing import Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed
from vllm_connect.simulator.requests.refusals import Refusal, refuse

_NO_RANK: Final = Refusal("data_parallel_rank {rank} is out of range [0, 1).")


def check_rank(request: RecordedRequest) -> None:
    """Refuse an engine that is not there: there is one, and what is no number names none."""
    try:
        rank = int(request.header("x-data-parallel-rank") or 0)
    except ValueError:
        return
    if rank:
        raise refuse(_NO_RANK, rank=rank)


def with_load(request: RecordedRequest, answer: Routed, engine: Engine) -> Routed:
    """An answer that tells the engine's load where that was asked for, as ORCA has it."""
    wanted = request.header("endpoint-load-metrics-format") or ""
    waiting = float(engine.running if engine.is_held else 0)
    told = {"num_requests_waiting": waiting, "kv_cache_usage_perc": 0.0}
    match wanted.upper():
        case "TEXT":
            shown = "TEXT " + ", ".join(f"named_metrics.{name}={value}" for name, value in told.items())
        case "JSON":
            shown = "JSON " + json.dumps({"named_metrics": told})
        case _:
            return answer
    return replace(answer, headers=((b"endpoint-load-metrics", shown.encode()), *answer.headers))
