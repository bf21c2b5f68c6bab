"""What vLLM says of its own failures, by which they are told from those of others."""

from __future__ import annotations

import re

__all__ = ["is_engine_dead", "is_model_missing"]

# "EngineCore encountered an issue. See stack trace (above) for the root cause." since the V1 engine (0.8); before it
# AsyncEngineDeadError and MQEngineDeadError.
_ENGINE_DEAD = re.compile(
    r"EngineCore encountered an issue|EngineDeadError|Engine loop (is not running|has died)", re.IGNORECASE
)
# "The model `gone` does not exist.", with the valid names behind it since 0.30.
_MODEL_MISSING = re.compile(r"\bmodel\b.* does not exist", re.IGNORECASE)

NOT_FOUND = 404
SERVER_ERROR = 500


def is_engine_dead(status: int, said: str) -> bool:
    """Whether an error says that the engine behind the server has failed, and will not come back by itself."""
    return status == SERVER_ERROR and _ENGINE_DEAD.search(said) is not None


def is_model_missing(status: int, said: str) -> bool:
    """Whether an error says that the server does not serve the model that was named."""
    return status == NOT_FOUND and _MODEL_MISSING.search(said) is not None
