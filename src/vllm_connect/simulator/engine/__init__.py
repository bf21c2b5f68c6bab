"""What changes while a simulated server runs; touched by its event loop alone."""

from vllm_connect.simulator.engine.engine import Engine, StoredResponse

__all__ = ["Engine", "StoredResponse"]
