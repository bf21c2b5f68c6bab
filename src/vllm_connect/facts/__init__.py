"""What is known of servers, as frozen values: this server as it answered, and vLLM's routes as a table."""

from vllm_connect.facts.routes import MISSING_API, ROUTES, Kind, Route, Service
from vllm_connect.facts.server import ServedModel, ServerFacts, only_base_model
from vllm_connect.facts.words import is_engine_dead, is_model_missing

__all__ = [
    "MISSING_API",
    "ROUTES",
    "Kind",
    "Route",
    "ServedModel",
    "ServerFacts",
    "Service",
    "is_engine_dead",
    "is_model_missing",
    "only_base_model",
]
