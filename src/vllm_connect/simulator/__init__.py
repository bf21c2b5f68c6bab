"""A stand-in vLLM server for tests: real sockets, no GPU, no model, the same answers every time."""

from vllm_connect.simulator.exchange import Cut, Drop, RecordedRequest, Reply
from vllm_connect.simulator.server import Simulator

__all__ = ["Cut", "Drop", "RecordedRequest", "Reply", "Simulator"]
