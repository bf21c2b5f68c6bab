"""What each path answers: one file per endpoint, one table of them all."""

from vllm_connect.simulator.routes.table import dispatch

__all__ = ["dispatch"]
